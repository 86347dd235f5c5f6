/* select.h (template): the order statistics of |a - b|, for a median without a sort.
 *
 * A non-negative number is ordered as its bits are. One pass counts the elements in bins of FA_SELECT_BITS bits, a second
 * takes those out whose bin holds the rank that is asked for (1 % of normal float32 data), and so on with those. Two reads of
 * the data, then next to nothing; counting costs about a cycle per element. 2^24 float32 pairs, two threads: 21 ms.
 * Rejected: np.partition of the errors, 170 ms (its compressed stores are slow on Zen 4); a third read instead of taking,
 * which repeats for each rank.
 */
/* |a - b| of one block, and the bins they are in; how many there are. */
static size_t F(select_keys)(const fa_select_job *job, size_t block, REAL *d, UINT *key)
{
    REAL buffers[2][FA_LOSS_BLOCK];
    const size_t start = block * FA_LOSS_BLOCK, n = job->n - start < FA_LOSS_BLOCK ? job->n - start : FA_LOSS_BLOCK;
    const REAL *a = (const REAL *)F(loss_fetch)(&job->in[0], 0, start, n, buffers[0]);
    const REAL *b = (const REAL *)F(loss_fetch)(&job->in[1], 0, start, n, buffers[1]);
    const UINT base = (UINT)job->base;
    const int shift = job->shift;
    _Pragma("omp simd") for (size_t i = 0; i < n; i++) {
        d[i] = F(abs)(a[i] - b[i]);
        key[i] = (F(bits)(d[i]) - base) >> shift;
    }
    return n;
}

static void F(select_flush)(uint64_t *to, uint32_t *counts)
{
    for (size_t k = 0; k < FA_SELECT_BINS; k++)
        if (counts[k]) {
            __atomic_fetch_add(&to[k], (uint64_t)counts[k], __ATOMIC_RELAXED);
            counts[k] = 0;
        }
}

/* Adds to job->counts, and to what follows its bins the number of blocks with a NaN. */
static void F(select_count)(const fa_select_job *job, size_t first, size_t last)
{
    const size_t often = (size_t)1 << 20;           /* blocks that 32 bits hold */
    uint32_t counts[FA_SELECT_BINS] = {0};
    uint64_t nans = 0;
    REAL d[FA_LOSS_BLOCK];
    UINT key[FA_LOSS_BLOCK];
    for (size_t block = first; block < last; block++) {
        const size_t n = F(select_keys)(job, block, d, key);
        UINT bad = 0;
        _Pragma("omp simd reduction(|:bad)") for (size_t i = 0; i < n; i++) bad |= (UINT)(d[i] != d[i]);
        nans += bad;
        for (size_t i = 0; i < n; i++) counts[key[i] & (FA_SELECT_BINS - 1)]++;
        if ((block - first) % often == often - 1) F(select_flush)(job->counts, counts);
    }
    F(select_flush)(job->counts, counts);
    if (nans) __atomic_fetch_add(&job->counts[FA_SELECT_BINS], nans, __ATOMIC_RELAXED);
}

/* |a - b| where its bin is from job->low to job->high, to job->found, in any order. */
static void F(select_take)(const fa_select_job *job, size_t first, size_t last)
{
    const UINT low = (UINT)job->low, span = (UINT)(job->high - job->low);
    REAL d[FA_LOSS_BLOCK], kept[FA_LOSS_BLOCK];
    UINT key[FA_LOSS_BLOCK];
    for (size_t block = first; block < last; block++) {
        const size_t n = F(select_keys)(job, block, d, key);
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
            kept[count] = d[i];
            count += key[i] - low <= span;
        }
        if (count) {
            const uint64_t place = __atomic_fetch_add(job->taken, (uint64_t)count, __ATOMIC_RELAXED);
            if (place + count > job->room) return;      /* somebody writes to the data between the passes */
            memcpy((REAL *)job->found + place, kept, count * sizeof(REAL));
        }
    }
}
