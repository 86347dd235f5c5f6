/* transpose.h (template): LANES rows in memory <-> a panel [classes][LANES], where lane j is row j.
 *
 * A row is moved in pieces of 16 bytes (PIECE classes). One vector takes the pieces of several rows, PIECE vectors hold a
 * square of pieces per 16-byte lane, and transposing those squares within their lanes puts each class into a vector of its own.
 * So every shuffle stays within its lane, the crossing of lanes is done by loads and stores, and n need not be a multiple:
 * the last piece ends with the row and overlaps the one before. 16 rows x 10 classes: 24 shuffles and 48 loads each way;
 * gcc's gathers take 1.5 times as long.
 *
 * By the compiler's vector types, so that one text is AVX-512, AVX2, SSE2 and NEON. */
#undef PIECE
#undef VECTOR
#undef VECTOR_BYTES
#undef FA_SHUFFLES
#define PIECE (16 / sizeof(REAL))
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define VECTOR (VECTOR_BYTES / sizeof(REAL))
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define FA_SHUFFLES 1
#endif
#endif

#ifdef FA_SHUFFLES
typedef REAL F(piece) __attribute__((vector_size(16)));
typedef REAL F(pieces) __attribute__((vector_size(VECTOR_BYTES)));
/* A vector anywhere in memory. With memcpy instead gcc 12 moves 32 bytes by halves through the stack, and a load of both waits until
 * the two stores have left: softmax of 512x10 on AVX2 takes 5.4 us instead of 7.7. */
typedef REAL F(pieces_at) __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));

#undef SHUFFLE
#undef EACH_LANE
/* f(b) for the first element b of each 16-byte lane */
#if VECTOR_BYTES == 64 && FA_BITS == 32
#define EACH_LANE(f) f(0, 16), f(4, 16), f(8, 16), f(12, 16)
#elif VECTOR_BYTES == 32 && FA_BITS == 32
#define EACH_LANE(f) f(0, 8), f(4, 8)
#elif FA_BITS == 32
#define EACH_LANE(f) f(0, 4)
#elif VECTOR_BYTES == 64
#define EACH_LANE(f) f(0, 8), f(2, 8), f(4, 8), f(6, 8)
#elif VECTOR_BYTES == 32
#define EACH_LANE(f) f(0, 4), f(2, 4)
#else
#define EACH_LANE(f) f(0, 2)
#endif
#define SHUFFLE(a, b, f) __builtin_shufflevector(a, b, EACH_LANE(f))

/* The squares of PIECE vectors, transposed within each lane; its own inverse. */
FA_INLINE void F(transpose_lanes)(F(pieces) *v)
{
#if FA_BITS == 32
#define FA_LOW(b, n) b, n + b, b + 1, n + b + 1
#define FA_HIGH(b, n) b + 2, n + b + 2, b + 3, n + b + 3
#define FA_LOW2(b, n) b, b + 1, n + b, n + b + 1
#define FA_HIGH2(b, n) b + 2, b + 3, n + b + 2, n + b + 3
    const F(pieces) a = SHUFFLE(v[0], v[1], FA_LOW), b = SHUFFLE(v[0], v[1], FA_HIGH);
    const F(pieces) c = SHUFFLE(v[2], v[3], FA_LOW), d = SHUFFLE(v[2], v[3], FA_HIGH);
    v[0] = SHUFFLE(a, c, FA_LOW2), v[1] = SHUFFLE(a, c, FA_HIGH2);
    v[2] = SHUFFLE(b, d, FA_LOW2), v[3] = SHUFFLE(b, d, FA_HIGH2);
#undef FA_LOW
#undef FA_HIGH
#undef FA_LOW2
#undef FA_HIGH2
#else
#define FA_LOW(b, n) b, n + b
#define FA_HIGH(b, n) b + 1, n + b + 1
    const F(pieces) a = SHUFFLE(v[0], v[1], FA_LOW), b = SHUFFLE(v[0], v[1], FA_HIGH);
    v[0] = a, v[1] = b;
#undef FA_LOW
#undef FA_HIGH
#endif
}

/* The pieces at x, `step` elements apart, in one vector. */
FA_INLINE F(pieces) F(load_pieces)(const REAL *x, ptrdiff_t step)
{
    F(piece) p[VECTOR_BYTES / 16];
    for (size_t l = 0; l < VECTOR_BYTES / 16; l++) memcpy(&p[l], x + (ptrdiff_t)l * step, 16);
#if VECTOR_BYTES == 16
    (void)step;
    return p[0];
#elif VECTOR_BYTES == 32
#if FA_BITS == 32
    return __builtin_shufflevector(p[0], p[1], 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return __builtin_shufflevector(p[0], p[1], 0, 1, 2, 3);
#endif
#elif FA_BITS == 32
    return __builtin_shufflevector(__builtin_shufflevector(p[0], p[1], 0, 1, 2, 3, 4, 5, 6, 7),
                                   __builtin_shufflevector(p[2], p[3], 0, 1, 2, 3, 4, 5, 6, 7),
                                   0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    return __builtin_shufflevector(__builtin_shufflevector(p[0], p[1], 0, 1, 2, 3),
                                   __builtin_shufflevector(p[2], p[3], 0, 1, 2, 3), 0, 1, 2, 3, 4, 5, 6, 7);
#endif
}

FA_INLINE void F(store_pieces)(REAL *x, ptrdiff_t step, F(pieces) v)
{
#if VECTOR_BYTES == 16
    (void)step;
    memcpy(x, &v, 16);
#else
#undef PART
#if FA_BITS == 32
#define PART(l) __builtin_shufflevector(v, v, 4 * (l), 4 * (l) + 1, 4 * (l) + 2, 4 * (l) + 3)
#else
#define PART(l) __builtin_shufflevector(v, v, 2 * (l), 2 * (l) + 1)
#endif
    const F(piece) p[] = {PART(0), PART(1),
#if VECTOR_BYTES == 64
                          PART(2), PART(3)
#endif
    };
    for (size_t l = 0; l < VECTOR_BYTES / 16; l++) memcpy(x + (ptrdiff_t)l * step, &p[l], 16);
#endif
}
#endif

/* LANES rows of n, `stride` apart, into the panel [n][LANES]; by: NULL, or what lies like x and is multiplied by it. */
FA_INLINE void F(transpose_products)(REAL *panel, const REAL *x, const REAL *by, ptrdiff_t stride, size_t n)
{
#ifdef FA_SHUFFLES
    if (n >= PIECE) {
        for (size_t r = 0; r < LANES; r += VECTOR)
            for (size_t c = 0; c < n; c += PIECE) {
                const size_t at = n - c < PIECE ? n - PIECE : c;
                F(pieces) v[PIECE];
                for (size_t i = 0; i < PIECE; i++) {
                    const ptrdiff_t from = (ptrdiff_t)(r + i) * stride + (ptrdiff_t)at;
                    v[i] = F(load_pieces)(x + from, (ptrdiff_t)PIECE * stride);
                    if (by) v[i] *= F(load_pieces)(by + from, (ptrdiff_t)PIECE * stride);
                }
                F(transpose_lanes)(v);
                for (size_t i = 0; i < PIECE; i++) *(F(pieces_at) *)(panel + (at + i) * LANES + r) = v[i];
            }
        return;
    }
#endif
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < LANES; j++) {
            const ptrdiff_t from = (ptrdiff_t)j * stride + (ptrdiff_t)c;
            panel[c * LANES + j] = by ? x[from] * by[from] : x[from];
        }
}

FA_INLINE void F(transpose_in)(REAL *panel, const REAL *x, ptrdiff_t stride, size_t n) { F(transpose_products)(panel, x, NULL, stride, n); }

FA_INLINE void F(transpose_out)(const REAL *panel, REAL *y, ptrdiff_t stride, size_t n)
{
#ifdef FA_SHUFFLES
    if (n >= PIECE) {
        for (size_t r = 0; r < LANES; r += VECTOR)
            for (size_t c = 0; c < n; c += PIECE) {
                const size_t at = n - c < PIECE ? n - PIECE : c;
                F(pieces) v[PIECE];
                for (size_t i = 0; i < PIECE; i++) v[i] = *(const F(pieces_at) *)(panel + (at + i) * LANES + r);
                F(transpose_lanes)(v);
                for (size_t i = 0; i < PIECE; i++)
                    F(store_pieces)(y + (ptrdiff_t)(r + i) * stride + at, (ptrdiff_t)PIECE * stride, v[i]);
            }
        return;
    }
#endif
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < LANES; j++) y[(ptrdiff_t)j * stride + c] = panel[c * LANES + j];
}

/* The sums of LANES rows of n, `stride` apart; bad: its sign bit is set if an element is neither +0 nor within (0, 1]. Pieces are added
 * before they are transposed: 8 shuffles for 16 rows of up to 32, and no panel. */
FA_INLINE void F(sum_rows)(REAL *sum, UINT *bad, const REAL *x, ptrdiff_t stride, size_t n)
{
    const UINT one = F(bits)(C(1.0));
#ifdef FA_SHUFFLES
    if (n >= PIECE) {
        typedef UINT bits __attribute__((vector_size(VECTOR_BYTES)));
        static const UINT unseen[2 * PIECE] = {[PIECE ... 2 * PIECE - 1] = (UINT)-1};       /* of the piece that ends the row */
        const size_t rest = n % PIECE;
        const bits mask = (bits)F(load_pieces)((const REAL *)unseen + rest, 0);
        bits out = {0};
        for (size_t r = 0; r < LANES; r += VECTOR) {
            F(pieces) total[PIECE];
            for (size_t i = 0; i < PIECE; i++) {
                const REAL *row = x + (ptrdiff_t)(r + i) * stride;
                F(pieces) v = F(load_pieces)(row, (ptrdiff_t)PIECE * stride), acc = v;
                out |= (bits)v | (one - (bits)v);
                for (size_t c = PIECE; c + PIECE <= n; c += PIECE) {
                    v = F(load_pieces)(row + c, (ptrdiff_t)PIECE * stride);
                    out |= (bits)v | (one - (bits)v);
                    acc += v;
                }
                if (rest) {
                    v = F(load_pieces)(row + n - PIECE, (ptrdiff_t)PIECE * stride);
                    out |= (bits)v | (one - (bits)v);
                    acc += (F(pieces))((bits)v & mask);
                }
                total[i] = acc;
            }
            F(transpose_lanes)(total);
            for (size_t i = 1; i < PIECE; i++) total[0] += total[i];
            *(F(pieces_at) *)(sum + r) = total[0];
        }
        for (size_t i = 0; i < VECTOR; i++) *bad |= out[i];
        return;
    }
#endif
    for (size_t j = 0; j < LANES; j++) {
        sum[j] = C(0.0);
        for (size_t c = 0; c < n; c++) {
            const REAL v = x[(ptrdiff_t)j * stride + (ptrdiff_t)c];
            *bad |= F(bits)(v) | (one - F(bits)(v));
            sum[j] += v;
        }
    }
}
