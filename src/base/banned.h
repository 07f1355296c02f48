/* Calls that have no place in Belay: each has a safer form in base/ or platform/. */
#ifndef BELAY_BASE_BANNED_H
#define BELAY_BASE_BANNED_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gmtime localtime ctime    \
        asctime
#pragma GCC poison atoi atol atof system popen mktemp tmpnam strerror gets

#endif
