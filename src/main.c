/* Sees everything, does nothing itself: the verbs are in cli/verbs.c. */
#include "cli/app.h"

int main(int argc, char **argv) { return app_main(argc, argv); }
