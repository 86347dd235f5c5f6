/* log_cosh_table.h: log cosh in float32 where a register can be looked up in (AVX2, AVX-512), by intrinsics.
 *
 * log cosh a = m^2 P(a) + (a - m), m = min(a, 9/8): below 9/8 all is a^2 times a P near 1/2, above it a - 9/8, which is exact, and a
 * small rest. P by a polynomial of degree 6 in a - e over each of eight intervals, two to an octave of 16/9 a + 1, with e and the
 * coefficients from eight registers of 8 floats; P(e) is a float32 to 2^-35 (e was chosen so) and costs no rounding. No exponential,
 * no logarithm, nothing to select. Fits: docs/tables.py. What m^2 lost by rounding comes back: 1.13 ULP instead of 1.97. Both ISAs
 * give the same bits. Zen 5, one thread, mean loss of 32768 pairs by F(log_cosh_loss) and by this: 13.4 and 7.8 us on AVX-512, 25.7
 * and 14.7 on AVX2.
 */
#ifndef FASTACT_LOG_COSH_TABLE_H
#define FASTACT_LOG_COSH_TABLE_H

#include "fastact/lookup.h"

/* Entry i & 7 is of the interval that the bits of 16/9 a + 1, shifted by 22, number with i: e, then the coefficients of P from (a - e)^0 on.
 * Error of log cosh 2^-25.8 from 1.69 to 2.81, elsewhere 2^-26.4 to 2^-33.5. */
static const float fa_log_cosh_table[8][8] __attribute__((aligned(32))) = {
    {0x1.affff6p-1f, 0x1.68030ep0f, 0x1.200a8cp1f, 0x1.affc86p1f, 0x1.4401e6p2f, 0x1.d39932p2f, 0x1.1fffe8p-3f, 0x1.b005d6p-2f},
    {0x1.ccc13cp-2f, 0x1.8c969ap-2f, 0x1.6656dp-2f, 0x1.5e5a6ep-2f, 0x1.5d704cp-2f, 0x1.5d6818p-2f, 0x1.fe5244p-2f, 0x1.f17ebap-2f},
    {-0x1.9b6f4cp-4f, -0x1.6ea946p-4f, -0x1.1c4876p-6f, -0x1.e497acp-10f, -0x1.0a27c8p-14f, -0x1.7f6648p-21f, -0x1.7bfc54p-6f, -0x1.06bb1cp-4f},
    {-0x1.86b9ccp-6f, 0x1.59e3ep-4f, 0x1.19291ep-6f, 0x1.e40914p-10f, 0x1.0a72b6p-14f, 0x1.7f722cp-21f, -0x1.4ab18cp-4f, -0x1.ffee6cp-5f},
    {0x1.c99d5p-6f, -0x1.98fbc8p-5f, -0x1.6e7054p-7f, -0x1.416f46p-10f, -0x1.584616p-15f, -0x1.ef8d5cp-22f, 0x1.8d7f98p-7f, 0x1.d820b2p-6f},
    {-0x1.c051cep-8f, 0x1.397a3ep-6f, 0x1.5e63a8p-8f, 0x1.3fb97p-11f, 0x1.54f8b8p-16f, 0x1.eec7f8p-23f, 0x1.4c4308p-6f, 0x1.0fe2b8p-7f},
    {-0x1.b95b36p-9f, -0x1.c1b9d8p-9f, -0x1.049d8ap-9f, -0x1.0a8334p-12f, -0x1.59f9a2p-17f, -0x1.f3a32cp-24f, -0x1.5a6ff8p-8f, -0x1.42620cp-7f},
    {0x1.8bb11ap-9f, -0x1.21ffdep-10f, 0x1.122c46p-11f, 0x1.6004eep-14f, 0x1.dbc30ep-19f, 0x1.4e8eb8p-25f, -0x1.6b775cp-8f, 0x1.92c63cp-12f},
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
