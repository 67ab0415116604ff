#include <stdio.h>
#include <string.h>

/* The argument is JSON text, and so is what is returned. */
const char *action(const char *json)
{
    static char result[1024];
    const char *name = strstr(json, "\"name\":");
    char who[256] = "stranger";

    if (name)
        sscanf(name, "\"name\": \"%255[^\"\\]", who);
    printf("greeting %s\n", who);
    snprintf(result, sizeof result, "{\"greeting\": \"Hello, %s!\"}", who);
    return result;
}
