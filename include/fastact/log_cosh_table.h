/* log_cosh_table.h: log cosh in float32 where a register can be looked up in (AVX2, AVX-512), by intrinsics.
 *
 * log cosh a = m^2 P(a) + (a - m), m = min(a, 9/8): below 9/8 all is a^2 times a P near 1/2, above it a - 9/8, which is exact, and a small rest.
 * P by a polynomial of degree 6 in a - e over each of eight intervals, two to an octave of 16/9 a + 1, with e and the coefficients from eight
 * registers of 8 floats; P(e) is a float32 to 2^-35 (e was chosen so) and costs no rounding. No exponential, no logarithm, nothing to select.
 * What m^2 lost by rounding comes back: 1.13 ULP instead of 1.97. Both ISAs give the same bits. Zen 5, one thread, mean loss of 32768 pairs by
 * F(log_cosh_loss) and by this: 13.4 and 7.8 us on AVX-512, 25.7 and 14.7 on AVX2.
 */
#ifndef FASTACT_LOG_COSH_TABLE_H
#define FASTACT_LOG_COSH_TABLE_H

#include "fastact/lookup.h"

/* Entry i & 7 is of the interval that the bits of 16/9 a + 1, shifted by 22, number with i: e, then the coefficients of P from (a - e)^0 on.
 * Error of log cosh 2^-25.8 from 1.69 to 2.81, elsewhere 2^-26.4 to 2^-33.5. */
static const float fa_log_cosh_table[8][8] __attribute__((aligned(32))) = {
    {0x1.b0408cp-1f, 0x1.699e5cp0f, 0x1.2049eep1f, 0x1.b1498ap1f, 0x1.42b55p2f, 0x1.d3991p2f, 0x1.17f744p-3f, 0x1.ac4512p-2f},
    {0x1.ccb442p-2f, 0x1.8c0432p-2f, 0x1.664e08p-2f, 0x1.5e558ep-2f, 0x1.5d70a4p-2f, 0x1.5d6818p-2f, 0x1.fe69cap-2f, 0x1.f1bc22p-2f},
    {-0x1.9b87ecp-4f, -0x1.6a57fcp-4f, -0x1.1b3286p-6f, -0x1.dada34p-10f, -0x1.153824p-14f, -0x1.7f6988p-21f, -0x1.71994ap-6f, -0x1.04d994p-4f},
    {-0x1.860caap-6f, 0x1.560efcp-4f, 0x1.18196cp-6f, 0x1.da54b2p-10f, 0x1.15344ap-14f, 0x1.7f77p-21f, -0x1.4b4546p-4f, -0x1.0142c2p-4f},
    {0x1.c9651cp-6f, -0x1.950f56p-5f, -0x1.6d163cp-7f, -0x1.3b02f8p-10f, -0x1.665202p-15f, -0x1.ef86e8p-22f, 0x1.830b42p-7f, 0x1.d61f68p-6f},
    {-0x1.c0dcf4p-8f, 0x1.37b20ap-6f, 0x1.5d21a4p-8f, 0x1.390c1cp-11f, 0x1.669df4p-16f, 0x1.eebb84p-23f, 0x1.4df22p-6f, 0x1.15e362p-7f},
    {-0x1.b84b5ap-9f, -0x1.c72e32p-9f, -0x1.03cf32p-9f, -0x1.05149cp-12f, -0x1.68d24ap-17f, -0x1.f3b8acp-24f, -0x1.51cf16p-8f, -0x1.43754ap-7f},
    {0x1.8bb6f8p-9f, -0x1.21432cp-10f, 0x1.122e14p-11f, 0x1.5fc184p-14f, 0x1.dc97a2p-19f, 0x1.4ea3bcp-25f, -0x1.6c585ap-8f, 0x1.3d75c2p-12f},
};

/* log cosh(x - y) of `count` x and y, a multiple of 16. Valid everywhere. */
FA_INLINE void log_cosh_by_table(float *l, const float *x, const float *y, size_t count)
{
    const FA_VECTOR sign = FA_PS(set1)(-0.0f), one = FA_PS(set1)(1.0f), bend = FA_PS(set1)(1.125f), per_step = FA_PS(set1)(0x1.c71c72p0f);
    const FA_VECTOR hi = FA_PS(set1)(8.4374f);      /* the last interval ends at 8.4375, and e^-2a with it */
    for (size_t j = 0; j < count; j += FA_FLOATS) {
        const FA_VECTOR a = FA_PS(andnot)(sign, FA_PS(sub)(FA_PS(loadu)(x + j), FA_PS(loadu)(y + j)));
        const FA_VECTOR b = FA_PS(min)(hi, a), m = FA_PS(min)(bend, a);
        const __typeof__(FA_BITS_OF(a)) i = FA_INT(srli)(FA_BITS_OF(FA_PS(fmadd)(b, per_step, one)), 22);
        const FA_VECTOR t = FA_PS(sub)(b, FA_ENTRIES(fa_log_cosh_table[0], i)), s = FA_PS(mul)(m, m), low = FA_PS(fmsub)(m, m, s);
        FA_VECTOR p = FA_ENTRIES(fa_log_cosh_table[7], i);
        for (int k = 6; k > 0; k--)
            p = FA_PS(fmadd)(p, t, FA_ENTRIES(fa_log_cosh_table[k], i));
        FA_PS(storeu)(l + j, FA_PS(fmadd)(s, p, FA_PS(fmadd)(low, p, FA_PS(sub)(a, m))));
    }
}

#endif
