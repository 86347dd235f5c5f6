/* exp_by_table over every float32 d of [-104, -0]: for each range down to LIMIT(exp_normal_lo) its end, the largest error in ULP
 * of the exact result, where it is, the mean and the count; below that it must be 0, else the exit status is 1. Compiled and run
 * by tests/ulp_exp.py. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FA_INLINE static inline
#define LIMIT(name) LOWEST
#include "fastact/exp_table.h"

enum { RANGES = 5 };

int main(void)
{
    const float least = 104;
    uint32_t last;
    const double ends[RANGES] = {1, 4, 16, 64, 88};
    double max[RANGES] = {0}, sum[RANGES] = {0}, at[RANGES] = {0};
    long long count[RANGES] = {0}, wrong = 0;
    int k = 0;
    memcpy(&last, &least, sizeof last);
    for (uint32_t first = 0; first <= last; first += 16) {
        float d[16], e[16];
        for (uint32_t j = 0; j < 16; j++) {
            const uint32_t bits = (first + j) | 0x80000000u;
            memcpy(d + j, &bits, sizeof bits);
        }
        exp_by_table(e, d, 0, 16);
        for (int j = 0; j < 16; j++) {
            if (d[j] < LIMIT(exp_normal_lo)) {
                wrong += e[j] != 0;
                continue;
            }
            const double exact = exp((double)d[j]);    /* right to 2^-28 ULP of float32 */
            uint64_t bits;
            memcpy(&bits, &exact, sizeof bits);
            bits = (2046 + 23 - (bits >> 52)) << 52;    /* 1/ULP, a power of two */
            double per_ulp;
            memcpy(&per_ulp, &bits, sizeof bits);
            const double error = fabs(e[j] - exact) * per_ulp;
            while (-d[j] > ends[k]) k++;
            sum[k] += error;
            count[k]++;
            if (!(error <= max[k])) max[k] = error, at[k] = d[j];
        }
    }
    for (k = 0; k < RANGES; k++) printf("%g %.4f %.9g %.4f %lld\n", ends[k], max[k], at[k], sum[k] / (double)count[k], count[k]);
    return wrong != 0;
}
