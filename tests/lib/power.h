/*
 * What a disk may hold after the power went: a recording of a directory tree through the fault points
 * (platform/fault.h) and the syncs, and images of it.
 *
 *     POWER_SEES_SYNCS                              once in the test's file: its fsync and fdatasync
 *     Power *power = power_record("/dev/shm/x");    ...work in this process...    power_stop(power);
 *     for (point...) for (image...)
 *             if (power_image(power, point, &seed, POWER_SYNCS_COUNT))
 *                     ...recover in /dev/shm/x, and look...
 *     power_free(power)
 *
 * The model: a write to a file is only sure after a sync of that file, a change of names only after a sync of
 * its directory. Of what is not sure any part may be there: each write wholly, not at all, by half, or as
 * zeros of the same length; each change of names or not; in any order but that of one byte or name. A rename
 * between two directories may leave both names, never none. Modes are taken to be kept.
 */
#ifndef BELAY_TESTS_POWER_H
#define BELAY_TESTS_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct Power Power;

enum { POWER_SYNCS_COUNT = 1, POWER_SYNCS_DO_NOTHING = 0 };

/* `root` must exist; what it holds now is sure. One recording at a time. */
Power *power_record(const char *root);
void power_stop(Power *power);
/* The files in this directory of root name others by inode: in an image by those that these have there. */
void power_inodes_in(Power *power, const char *name);
/* How many points to lose the power at; they count from 0. */
size_t power_points(const Power *power);
/* Replaces what is in root by what may be there after a power cut at this point; the first images are those
 * with nothing and with all of what is not sure. False, and nothing is replaced: there was this image before. */
bool power_image(Power *power, size_t point, uint64_t *seed, unsigned number, bool syncs_count);
void power_free(Power *power);

/* The next number of a sequence that begins with *seed. */
uint64_t power_random(uint64_t *seed);

void power_synced(int fd);
void power_synced_all(void);

/* Definitions that the linker prefers to the C library's. */
#define POWER_SEES_SYNCS                                                                           \
        int fsync(int fd) {                                                                        \
                power_synced(fd);                                                                  \
                return (int)syscall(SYS_fsync, fd);                                                \
        }                                                                                          \
        int fdatasync(int fd) {                                                                    \
                power_synced(fd);                                                                  \
                return (int)syscall(SYS_fdatasync, fd);                                            \
        }                                                                                          \
        int syncfs(int fd) {                                                                       \
                power_synced_all();                                                                \
                return (int)syscall(SYS_syncfs, fd);                                               \
        }                                                                                          \
        int fsync(int fd);

#endif
