/*
 * CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected), as in RFC 3720 appendix B.4:
 * "123456789" gives 0xE3069283.
 */
#ifndef BELAY_BASE_CRC32C_H
#define BELAY_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t n);

#endif
