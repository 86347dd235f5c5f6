/* stream.h: non-temporal stores, of whole cache lines.
 * By the widest register: with 16 bytes at a time relu of 2^24 float32 took as long as with plain stores, or four times that. */
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define FA_STREAM(to, from) _mm512_stream_si512((void *)(to), _mm512_loadu_si512((const void *)(from)))
#define FA_STREAM_BYTES 64
#elif defined(__AVX__)
#include <immintrin.h>
#define FA_STREAM(to, from) _mm256_stream_si256((__m256i *)(to), _mm256_loadu_si256((const __m256i *)(from)))
#define FA_STREAM_BYTES 32
#endif

#ifdef FA_STREAM
/* To 64-byte aligned memory, a multiple of 64 bytes. */
static inline void stream(char *to, const char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += FA_STREAM_BYTES)
        FA_STREAM(to + i, from + i);
}
static inline void stream_end(void) { _mm_sfence(); }
/* The same for one line. */
static inline void stream_line(void *to, const void *from) { stream(to, from, 64); }
#define FA_STREAM_ENTRIES .stream = stream, .stream_end = stream_end,

/* To anywhere, any number of bytes: what does not fill a line is stored as usual. */
static inline void stream_any(char *to, const char *from, size_t bytes)
{
    const size_t to_line = -(size_t)to & 63, head = to_line < bytes ? to_line : bytes, lines = (bytes - head) & ~(size_t)63;
    memcpy(to, from, head);
    stream(to + head, from + head, lines);
    memcpy(to + head + lines, from + head + lines, bytes - head - lines);
}
#else
#define FA_STREAM_ENTRIES .stream = NULL, .stream_end = NULL,
static inline void stream_line(void *to, const void *from) { memcpy(to, from, 64); }
static inline void stream_any(char *to, const char *from, size_t bytes) { memcpy(to, from, bytes); }
static inline void stream_end(void) {}
#endif
