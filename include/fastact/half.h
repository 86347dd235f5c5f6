/* half.h: float16 <-> float32, by the CPU's instruction where the ISA has it, else by integer arithmetic that vectorises. */
#if defined(__F16C__)
#include <immintrin.h>
static void half_to_float(size_t n, const uint16_t *h, float *f)
{
    for (size_t i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(f + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(h + i))));
}

static void float_to_half(size_t n, const float *f, uint16_t *h)
{
    for (size_t i = 0; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(h + i), _mm256_cvtps_ph(_mm256_loadu_ps(f + i), _MM_FROUND_TO_NEAREST_INT));
}
#else
static void half_to_float(size_t n, const uint16_t *h, float *f)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t sign = (uint32_t)(h[i] & 0x8000) << 16, magnitude = (uint32_t)(h[i] & 0x7fff) << 13;
        /* Scaling by 2^112 moves the exponent's bias and makes half's subnormals normal; inf and NaN get the rest of theirs. */
        float y = from_bits_f32(magnitude) * 0x1p112f;
        uint32_t bits = bits_f32(y);
        bits |= magnitude >= 0x0f800000u ? 0x7f800000u : 0;
        f[i] = from_bits_f32(bits | sign);
    }
}

static void float_to_half(size_t n, const float *f, uint16_t *h)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_f32(f[i]), sign = bits & 0x80000000u, a = bits ^ sign;
        /* Adding a power of two as large as the result's last place times 2^24 rounds to half's precision, to nearest even;
         * below 2^-14 that last place is fixed at 2^-24. */
        const uint32_t exponent = (a & 0x7f800000u) > 0x38800000u ? a & 0x7f800000u : 0x38800000u;
        const float magic = from_bits_f32(exponent + (13u << 23));
        const float rounded = (from_bits_f32(a) + magic) - magic;
        const uint32_t scaled = bits_f32(rounded * 0x1p-112f) >> 13;
        const uint32_t finite = scaled < 0x7c00u ? scaled : 0x7c00u;
        h[i] = (uint16_t)((a > 0x7f800000u ? 0x7e00u : a >= 0x7f800000u ? 0x7c00u : finite) | sign >> 16);
    }
}
#endif
