/* unit_rows.h (template): the rows of a unit together, for float32 without mask and temperature whose rows are one chunk, by the
 * intrinsics of AVX2 and AVX-512.
 *
 * Of 97 ns for a row of 128 classes row_max and row_sum took 34 for what is done once a row: constants loaded again, lanes folded one by
 * one. Here constants stay, and the lanes of eight maxima or four sums are folded at a time. Where exponentials go is fetched a unit ahead
 * too. The same sums in the same order, so the same bits. Medians in us, two threads. Zen 3: softmax of 4096x128 213 -> 174 (log_softmax
 * 254 -> 203), of 6144x512 1180 -> 1000 (without fetching 1150), of 1024x1000 as before. Zen 5, AVX-512: of 4096x128 softmax 56 -> 47,
 * log_softmax 65 -> 51, logsumexp 52 -> 36; of 6144x512 262 -> 233, 285 -> 257, 200 -> 185.
 */
#undef UNIT_ROWS
#if TABLE
#define UNIT_ROWS 1

/* The maxima of two vectors, halved: LOW has one number of each pair, HIGH the other. */
#define FA_FOLDED(a, b, LOW, HIGH) _mm256_max_ps(LOW(a, b), HIGH(a, b))
#define FA_LOW_PAIRS(a, b) _mm256_shuffle_ps(a, b, 0x44)
#define FA_HIGH_PAIRS(a, b) _mm256_shuffle_ps(a, b, 0xee)
#define FA_LOW_HALVES(a, b) _mm256_permute2f128_ps(a, b, 0x20)
#define FA_HIGH_HALVES(a, b) _mm256_permute2f128_ps(a, b, 0x31)
/* The sums of 16 lanes as four, as lanes_tree begins */
#ifdef __AVX512F__
#define FA_EIGHT_SUMS(s) _mm512_add_pd(s[0], s[1])
#define FA_FOUR_SUMS(s) _mm256_add_pd(_mm512_castpd512_pd256(FA_EIGHT_SUMS(s)), _mm512_extractf64x4_pd(FA_EIGHT_SUMS(s), 1))
#else
#define FA_FOUR_SUMS(s) _mm256_add_pd(_mm256_add_pd(s[0], s[2]), _mm256_add_pd(s[1], s[3]))
#endif

/* The maxima of `rows` rows: see chunk_max. m has room for FA_UNIT_ROWS. */
FA_INLINE void F(unit_max)(const REAL *x, ptrdiff_t stride, size_t rows, size_t n, REAL *m)
{
    const FA_VECTOR least = FA_PS(set1)(-REAL_MOST);
    __m256 most[FA_UNIT_ROWS];
    for (size_t r = 0; r < rows; r++, x += stride) {
        FA_VECTOR a = least, b = least, c = least, d = least;
        size_t i = 0;
        for (; i + 4 * FA_FLOATS <= n; i += 4 * FA_FLOATS) {
            a = FA_PS(max)(FA_PS(loadu)(x + i), a);
            b = FA_PS(max)(FA_PS(loadu)(x + i + FA_FLOATS), b);
            c = FA_PS(max)(FA_PS(loadu)(x + i + 2 * FA_FLOATS), c);
            d = FA_PS(max)(FA_PS(loadu)(x + i + 3 * FA_FLOATS), d);
        }
        for (; i < n; i += FA_FLOATS) a = FA_PS(max)(FA_LOAD_SOME(x + i, n - i < FA_FLOATS ? n - i : FA_FLOATS), a);
        most[r] = FA_HALF_MAX(FA_PS(max)(FA_PS(max)(a, b), FA_PS(max)(c, d)));
    }
    for (size_t r = rows; r < FA_UNIT_ROWS; r++) most[r] = _mm256_set1_ps(-REAL_MOST);
    for (size_t r = 0; r < rows; r += 8) {
        __m256 *v = most + r;
        for (size_t k = 0; k < 4; k++) v[k] = FA_FOLDED(v[2 * k], v[2 * k + 1], _mm256_unpacklo_ps, _mm256_unpackhi_ps);
        for (size_t k = 0; k < 2; k++) v[k] = FA_FOLDED(v[2 * k], v[2 * k + 1], FA_LOW_PAIRS, FA_HIGH_PAIRS);
        _mm256_storeu_ps(m + r, FA_FOLDED(v[0], v[1], FA_LOW_HALVES, FA_HIGH_HALVES));
    }
}

/* acc + e^(x - m) of two vectors, as add_exp has them, step by step side by side: one after the other 2.01 ns, so 1.85 (8 floats in L1;
 * by its operations 1.4, but Zen 3 has too few places for those that wait). Three side by side have too few registers: 2.12 by hand,
 * with ten constants read from memory. */
FA_INLINE void F(add_two)(FA_VECTOR *acc, const REAL *x, REAL *e, FA_VECTOR top, const int store, unsigned *counted)
{
    const FA_VECTOR limit = FA_PS(set1)(LIMIT(exp_normal_lo)), v[2] = {FA_PS(loadu)(x), FA_PS(loadu)(x + FA_FLOATS)};
    const FA_VECTOR d[2] = {FA_PS(sub)(v[0], top), FA_PS(sub)(v[1], top)};
    FA_VECTOR power[2];
    exp_of_vectors(power, d, NULL, 2);
    for (size_t k = 0; k < 2; k++)
        if (store) {
            const FA_VECTOR kept = FA_UNLESS_UNDER(d[k], limit, power[k]);
            acc[k] = FA_PS(add)(acc[k], kept);
            FA_PS(storeu)(e + k * FA_FLOATS, kept);
        } else {
            unsigned bits;
            FA_ADD_OTHERS(acc[k], power[k], d[k], limit, bits);
            *counted += (unsigned)__builtin_popcount(bits);
        }
}

/* What row_sum says of `rows` rows: with `store` of their exponentials, which go to e, else `rest` and how many
 * maxima. Room for FA_UNIT_ROWS. */
FA_INLINE void F(unit_sums)(const REAL *x, ptrdiff_t stride, REAL *e, ptrdiff_t e_stride, size_t rows, size_t n, const REAL *m,
                            const int store, size_t ahead, double *total, double *maxima)
{
    FA_VECTOR lanes[FA_UNIT_ROWS][FA_PARTS];            /* of the only block */
    FA_DOUBLES sums[FA_UNIT_ROWS][2 * FA_PARTS];        /* of all blocks, if there are more */
    const int only = n <= BLOCK;
    memset(sums, 0, only ? 0 : sizeof sums);
    for (size_t r = 0; r < rows; r++, x += stride, e += e_stride) {
        const FA_VECTOR top = FA_PS(set1)(m[r]);
        unsigned counted = 0;
        for (size_t b = 0; b < n; b += BLOCK) {
            const size_t end = n - b < BLOCK ? n : b + BLOCK;
            FA_VECTOR acc[FA_SUMS];
            size_t i = b;
            for (size_t k = 0; k < FA_SUMS; k++) acc[k] = FA_PS(setzero)();
            for (; i + SPAN <= end; i += SPAN) {
                if (ahead) {
                    __builtin_prefetch(x + i + ahead, 0, 2);
                    __builtin_prefetch(x + i + ahead + 16, 0, 2);
                }
                if (store ? ahead != 0 : e != NULL) {
                    const REAL *to = store ? e + i + ahead : e + i;
                    __builtin_prefetch(to, 1, 2);
                    __builtin_prefetch(to + 16, 1, 2);
                }
                for (size_t k = 0; k < FA_SUMS; k += 2)
                    F(add_two)(acc + k, x + i + k * FA_FLOATS, store ? e + i + k * FA_FLOATS : NULL, top, store, &counted);
            }
            if (i < end) {
                REAL last[SPAN], to[SPAN];
                F(padded)(last, x + i, NULL, end - i, -REAL_INF);
                for (size_t k = 0; k < FA_SUMS; k += 2) F(add_two)(acc + k, last + k * FA_FLOATS, to + k * FA_FLOATS, top, store, &counted);
                if (store)
                    F(unpadded)(e + i, to, end - i);
            }
            for (size_t k = 0; k < FA_PARTS; k++) {
                const FA_VECTOR v = FA_PS(add)(acc[k], acc[k + FA_PARTS]);
                if (only)
                    lanes[r][k] = v;
                else {
                    sums[r][2 * k] = FA_PD(add)(sums[r][2 * k], FA_LOW_DOUBLES(v));
                    sums[r][2 * k + 1] = FA_PD(add)(sums[r][2 * k + 1], FA_HIGH_DOUBLES(v));
                }
            }
        }
        maxima[r] = store ? 0.0 : (double)counted;
    }
    for (size_t r = 0; r < rows; r += 4) {
        __m256d four[4], two[2];
        for (size_t k = 0; k < 4 && r + k < rows; k++) {
            FA_DOUBLES *s = sums[r + k];
            if (only)
                for (size_t j = 0; j < FA_PARTS; j++) {
                    s[2 * j] = FA_LOW_DOUBLES(lanes[r + k][j]);
                    s[2 * j + 1] = FA_HIGH_DOUBLES(lanes[r + k][j]);
                }
            four[k] = FA_FOUR_SUMS(s);
        }
        for (size_t k = rows - r; k < 4; k++) four[k] = four[0];
        for (size_t k = 0; k < 2; k++) {
            const __m256d a = four[2 * k], b = four[2 * k + 1];
            two[k] = _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
        }
        _mm256_storeu_pd(total + r, _mm256_permute4x64_pd(_mm256_hadd_pd(two[0], two[1]), 0xd8));
    }
    x -= (ptrdiff_t)rows * stride;
    for (size_t r = 0; !store && r < rows; r++, x += stride)
        if (maxima[r] + 1.0 == (double)n && m[r] > -REAL_MOST)
            maxima[r] = 1.0;
        else {
            maxima[r] = 0.0;
            total[r] = F(recounted)(x, n, m[r], total[r], &maxima[r]);
            total[r] += maxima[r] > 1.0 ? maxima[r] - 1.0 : 0.0;
        }
}
#else
#define UNIT_ROWS 0
#endif
