#line 1 "epilogue.c"
/* What the runtime appends to an action: `main`, which calls ACTION. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    size_t size = 0, room = 1 << 16;
    char *argument = malloc(room);
    /* A line that was printed is in the logs, whatever becomes of the process. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    while (argument) {
        size_t count = fread(argument + size, 1, room - size - 1, stdin);
        if (count == 0)
            break;
        size += count;
        if (size + 1 == room)
            argument = realloc(argument, room *= 2);
    }
    if (!argument) {
        fputs("there is no memory for the argument\n", stderr);
        return 1;
    }
    /* The line break behind it is not a part of it. */
    if (size && argument[size - 1] == '\n')
        size--;
    argument[size] = 0;

    const char *result = ACTION(argument);
    if (!result) {
        fputs("`ACTION` returned NULL: expected JSON text\n", stderr);
        return 1;
    }
    /* The result is one line. JSON has line breaks between its words only. */
    for (; *result; result++)
        putchar(*result == '\n' || *result == '\r' ? ' ' : *result);
    putchar('\n');
    return 0;
}
