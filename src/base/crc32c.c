#include "base/crc32c.h"

/* Four bits at a time: entry i is what the polynomial makes of the four bits i. */
uint32_t crc32c(const void *bytes, size_t n) {
        static const uint32_t table[16] = {
                0x00000000,
                0x105EC76F,
                0x20BD8EDE,
                0x30E349B1,
                0x417B1DBC,
                0x5125DAD3,
                0x61C69362,
                0x7198540D,
                0x82F63B78,
                0x92A8FC17,
                0xA24BB5A6,
                0xB21572C9,
                0xC38D26C4,
                0xD3D3E1AB,
                0xE330A81A,
                0xF36E6F75,
        };
        const unsigned char *at = bytes;
        uint32_t crc = ~UINT32_C(0);
        while (n--) {
                crc ^= *at++;
                crc = crc >> 4 ^ table[crc & 15];
                crc = crc >> 4 ^ table[crc & 15];
        }
        return ~crc;
}
