/* stream.h: non-temporal stores, from 64-byte aligned scratch to 64-byte aligned memory, in whole cache lines.
 * By the widest register: with 16 bytes at a time relu of 2^24 float32 took as long as with plain stores, or four times that. */
#if defined(__AVX512F__)
#include <immintrin.h>
#define FA_STREAM(to, from) _mm512_stream_si512((void *)(to), _mm512_load_si512((const void *)(from)))
#define FA_STREAM_BYTES 64
#elif defined(__AVX__)
#include <immintrin.h>
#define FA_STREAM(to, from) _mm256_stream_si256((__m256i *)(to), _mm256_load_si256((const __m256i *)(from)))
#define FA_STREAM_BYTES 32
#endif

#ifdef FA_STREAM
static void stream(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += FA_STREAM_BYTES)
        FA_STREAM(to + i, from + i);
}
static void stream_end(void) { _mm_sfence(); }
#define FA_STREAM_ENTRIES .stream = stream, .stream_end = stream_end,
#else
#define FA_STREAM_ENTRIES .stream = NULL, .stream_end = NULL,
#endif
