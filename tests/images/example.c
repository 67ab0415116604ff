/*
 * An action in C: greets, and tells what it runs on.
 *
 * The argument is the only argument on the command line (and comes on stdin too). What goes to
 * stdout is log, but for the last line: the result, a JSON object.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* The value of the string member `name`, as it stands in the text: enough for plain names. */
static void member(const char *json, const char *name, char *value, size_t size)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *at = strstr(json, quoted);
    if (at == NULL || (at = strchr(at + strlen(quoted), ':')) == NULL || (at = strchr(at, '"')) == NULL)
        return;
    size_t length = strcspn(++at, "\"\\");
    snprintf(value, size, "%.*s", (int)length, at);
}

int main(int argc, char **argv)
{
    char name[256] = "stranger";
    struct utsname machine;
    const unsigned short one = 1;

    if (argc > 1)
        member(argv[1], "name", name, sizeof name);
    uname(&machine);
    fprintf(stderr, "this line goes to the log\n");
    printf("so does this one\n");
    printf("{\"greeting\": \"Hello, %s!\", \"machine\": \"%s\", \"byte_order\": \"%s\", \"bits\": %d}\n",
           name, machine.machine, *(const unsigned char *)&one ? "little" : "big",
           (int)(8 * sizeof(void *)));
    return 0;
}
