/* Writes lines of log to stdout, then a result. The first number in its argument says how many
 * megabytes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 128

int main(int argc, char **argv) {
    static char block[65536];
    const char *number = argc > 1 ? strpbrk(argv[1], "0123456789") : NULL;
    long left = number ? atol(number) * 1000000 : 0;
    memset(block, 'x', sizeof block);
    for (size_t at = LINE - 1; at < sizeof block; at += LINE)
        block[at] = '\n';
    while (left > 0) {
        size_t part = left < (long)sizeof block ? (size_t)left : sizeof block;
        ssize_t count = write(1, block, part);
        if (count <= 0)
            return 1;
        left -= count;
    }
    return write(1, "\n{}\n", 4) == 4 ? 0 : 1;
}
