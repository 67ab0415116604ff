/* Answers each question, a line on stdin, with its length, a line on descriptor 3. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    if (getenv("__OW_WAIT_FOR_ACK"))
        dprintf(3, "{\"ok\":true}\n");
    while ((length = getline(&line, &room, stdin)) > 0)
        dprintf(3, "{\"bytes\":%zd}\n", length);
    return 0;
}
