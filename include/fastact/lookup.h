/* lookup.h: what the tables in registers (exp_table.h, log_table.h) are written in: vectors of float32 where a register can be
 * looked up in (AVX2, AVX-512). FA_LOOKUP says whether.
 */
#ifndef FASTACT_LOOKUP_H
#define FASTACT_LOOKUP_H

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#define FA_LOOKUP 1
#include <immintrin.h>

#if defined(__AVX512F__)
#define FA_VECTOR __m512
#define FA_PS(name) _mm512_##name##_ps
#define FA_INT(name) _mm512_##name##_epi32
#define FA_SHIFTED(bits, count) _mm512_slli_epi32(bits, count)
#define FA_ADDED(a, b) _mm512_castsi512_ps(_mm512_add_epi32(a, b))
#define FA_BITS_OF(v) _mm512_castps_si512(v)
#define FA_AS_FLOATS(bits) _mm512_castsi512_ps(bits)
#define FA_AND(a, b) _mm512_and_si512(a, b)
#define FA_PS_OF(integers) _mm512_cvtepi32_ps(integers)
/* The entry of 8 that the low bits say */
#define FA_ENTRIES(table, bits) _mm512_permutexvar_ps(bits, _mm512_broadcast_f32x8(_mm256_load_ps(table)))
/* and of 16 */
#define FA_ENTRIES_16(table, bits) _mm512_permutexvar_ps(bits, _mm512_load_ps(table))
/* and of 32: as fast on Zen 5 */
#define FA_ENTRIES_32(table, bits) _mm512_permutex2var_ps(_mm512_load_ps(table), bits, _mm512_load_ps((table) + 16))
/* What is true of some lanes: masks, and whether it is of all. Bits compared as unsigned. */
#define FA_TRUE __mmask16
#define FA_UNDER(a, b) _mm512_cmplt_epu32_mask(a, b)
#define FA_IS_ZERO(bits) _mm512_testn_epi32_mask(bits, bits)
#define FA_BOTH(p, q) ((__mmask16)((p) & (q)))
#define FA_EITHER(p, q) ((__mmask16)((p) | (q)))
#define FA_ALL(p) ((p) == 0xffff)
/* Doubles: half as many to a vector */
#define FA_DOUBLES __m512d
#define FA_PD(name) _mm512_##name##_pd
#define FA_LOW_DOUBLES(v) _mm512_cvtps_pd(_mm512_castps512_ps256(v))
#define FA_HIGH_DOUBLES(v) _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))
#define FA_NARROWED(low, high) \
    _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1)
/* Integers, and as doubles */
#define FA_INTS __m512i
#define FA_LOAD_INTS(from) _mm512_loadu_si512(from)
#define FA_STORE_INTS(to, v) _mm512_storeu_si512(to, v)
#define FA_LOW_INTS(v) _mm512_cvtepi32_pd(_mm512_castsi512_si256(v))
#define FA_HIGH_INTS(v) _mm512_cvtepi32_pd(_mm512_extracti32x8_epi32(v, 1))
/* Of floats: true where equal, where a nan; of integers: where equal, where a > b */
#define FA_SAME(a, b) _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ)
#define FA_IS_NAN(v) _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q)
#define FA_SAME_INT(a, b) _mm512_cmpeq_epi32_mask(a, b)
#define FA_ABOVE(a, b) _mm512_cmpgt_epi32_mask(a, b)
#define FA_NOT(p) ((__mmask16)~(p))
/* v where p is true, else 0; b where p is true, else a; v, a nan where p is true; integers, one more where p is true */
#define FA_WHERE(p, v) _mm512_maskz_mov_ps(p, v)
#define FA_CHOSEN(p, a, b) _mm512_mask_blend_ps(p, a, b)
#define FA_NAN_WHERE(p, v) _mm512_mask_blend_ps(p, v, _mm512_castsi512_ps(_mm512_set1_epi32(-1)))
#define FA_COUNTED(p, ints) _mm512_mask_add_epi32(ints, p, ints, _mm512_set1_epi32(1))
#else
#define FA_VECTOR __m256
#define FA_PS(name) _mm256_##name##_ps
#define FA_INT(name) _mm256_##name##_epi32
#define FA_SHIFTED(bits, count) _mm256_slli_epi32(bits, count)
#define FA_ADDED(a, b) _mm256_castsi256_ps(_mm256_add_epi32(a, b))
#define FA_BITS_OF(v) _mm256_castps_si256(v)
#define FA_AS_FLOATS(bits) _mm256_castsi256_ps(bits)
#define FA_AND(a, b) _mm256_and_si256(a, b)
#define FA_PS_OF(integers) _mm256_cvtepi32_ps(integers)
/* The table in a register: with one that it reads from memory the look-up takes Zen 3 two cycles, not one. */
static inline __m256 fa_table_of_8(const float *table)
{
    __m256 v = _mm256_load_ps(table);
    __asm__("" : "+x"(v));
    return v;
}
#define FA_ENTRIES(table, bits) _mm256_permutevar8x32_ps(fa_table_of_8(table), bits)
/* The entry of 4, which stand in the table twice */
#define FA_ENTRIES_4(table, bits) _mm256_permutevar_ps(_mm256_load_ps((const float *)(table)), bits)
#define FA_ENTRIES_16(table, bits) _mm256_blendv_ps(FA_ENTRIES(table, bits), FA_ENTRIES((table) + 8, bits), FA_AS_FLOATS(FA_SHIFTED(bits, 28)))
#define FA_TRUE __m256i
#define FA_UNDER(a, b) _mm256_cmpgt_epi32(_mm256_xor_si256(b, _mm256_set1_epi32(INT32_MIN)), _mm256_xor_si256(a, _mm256_set1_epi32(INT32_MIN)))
#define FA_IS_ZERO(bits) _mm256_cmpeq_epi32(bits, _mm256_setzero_si256())
#define FA_BOTH(p, q) _mm256_and_si256(p, q)
#define FA_EITHER(p, q) _mm256_or_si256(p, q)
#define FA_ALL(p) (_mm256_movemask_epi8(p) == -1)
#define FA_DOUBLES __m256d
#define FA_PD(name) _mm256_##name##_pd
#define FA_LOW_DOUBLES(v) _mm256_cvtps_pd(_mm256_castps256_ps128(v))
#define FA_HIGH_DOUBLES(v) _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))
#define FA_NARROWED(low, high) _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low))
#define FA_INTS __m256i
#define FA_LOAD_INTS(from) _mm256_loadu_si256((const __m256i *)(from))
#define FA_STORE_INTS(to, v) _mm256_storeu_si256((__m256i *)(to), v)
#define FA_LOW_INTS(v) _mm256_cvtepi32_pd(_mm256_castsi256_si128(v))
#define FA_HIGH_INTS(v) _mm256_cvtepi32_pd(_mm256_extracti128_si256(v, 1))
#define FA_SAME(a, b) FA_BITS_OF(_mm256_cmp_ps(a, b, _CMP_EQ_OQ))
#define FA_IS_NAN(v) FA_BITS_OF(_mm256_cmp_ps(v, v, _CMP_UNORD_Q))
#define FA_SAME_INT(a, b) _mm256_cmpeq_epi32(a, b)
#define FA_ABOVE(a, b) _mm256_cmpgt_epi32(a, b)
#define FA_NOT(p) _mm256_xor_si256(p, _mm256_set1_epi32(-1))
#define FA_WHERE(p, v) _mm256_and_ps(FA_AS_FLOATS(p), v)
#define FA_CHOSEN(p, a, b) _mm256_blendv_ps(a, b, FA_AS_FLOATS(p))
#define FA_NAN_WHERE(p, v) _mm256_or_ps(FA_AS_FLOATS(p), v)
#define FA_COUNTED(p, ints) _mm256_sub_epi32(ints, p)
#endif
enum { FA_FLOATS = sizeof(FA_VECTOR) / sizeof(float), FA_PARTS = 16 / FA_FLOATS };      /* vectors of 16 lanes */
#else
#define FA_LOOKUP 0
#endif

#endif
