/* Reads its argument from stdin to the end and answers with its length. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    static char chunk[65536];
    long total = 0;
    ssize_t count;
    while ((count = read(0, chunk, sizeof chunk)) > 0)
        total += count;
    char line[64];
    int length = snprintf(line, sizeof line, "{\"bytes\":%ld}\n", total);
    return write(1, line, length) == length ? 0 : 1;
}
