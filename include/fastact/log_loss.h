/* log_loss.h (template): the negative log-likelihood of labels under given probabilities, each clipped to [eps, 1 - eps], in the one
 * pass that also looks at every probability: a unit's sum is nan if a number of its rows is outside [0, 1] (or is -0) or nan, a row does
 * not sum to 1, or a label is no class. The caller finds out which. Bytes per element from memory: 1 read.
 *
 * In float32 a lane's probabilities are multiplied in double, and the product has one logarithm: 8 factors of 2^-23 or more. In float64
 * the rounding of products would show where all probabilities are 1 - eps.
 */

/* A row as sum_rows has it. */
static void F(row_facts)(const REAL *x, size_t n, REAL *sum, UINT *bad)
{
    const UINT one = F(bits)(C(1.0));
    UINT out = 0;
    _Pragma("omp simd reduction(|:out)") for (size_t j = 0; j < n; j++) out |= F(bits)(x[j]) | (one - F(bits)(x[j]));
    *bad |= out;
    *sum = (REAL)F(row_dot)(x, x, n, 0);
}

ROWS(log_loss)
{
    const fa_xent_job *job = job_, of = *job;
    const size_t n = job->cols;
    const REAL eps = K(0x1p-23f, 0x1p-52), near = K(0x1.6a09e6p-12f, 0x1p-26);      /* eps, sqrt(eps) */
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        const size_t first = (size_t)unit * job->unit_rows, left = job->outer - first;
        const size_t stop = first + (left < job->unit_rows ? left : job->unit_rows);
        double product[LANES], loss[LANES];
        INT wrong[LANES];
        UINT bad = 0;
        LANE(LANES) product[j] = 1.0;
        LANE(LANES) loss[j] = 0.0;
        LANE(LANES) wrong[j] = 0;
        for (size_t row = first; row < stop; row += LANES) {
            const size_t count = stop - row < LANES ? stop - row : LANES;
            const REAL *x = SAMPLE(x, row);
            REAL sum[LANES], p[LANES];
            int64_t label[LANES], counts[LANES];
            if (count == LANES) {
                fa_read_labels(job, row, 1, LANES, label);
                if (n <= FA_SHORT)
                    F(sum_rows)(sum, &bad, x, (ptrdiff_t)n, n);
            } else {
                LANE(LANES) label[j] = 0;
                LANE(LANES) p[j] = sum[j] = C(1.0);
                fa_read_labels(job, row, 1, count, label);
            }
            for (size_t r = 0; r < count && (n > FA_SHORT || count < LANES); r++) F(row_facts)(x + r * n, n, &sum[r], &bad);
            LANE(LANES) counts[j] = fa_counts(label[j], of.cols, 0, 0);
            LANE(LANES) label[j] = counts[j] ? label[j] : 0;
            if (count == LANES)
                for (size_t r = 0; r < LANES; r++) p[r] = x[r * n + (size_t)label[r]];
            else
                for (size_t r = 0; r < count; r++) p[r] = x[r * n + (size_t)label[r]];
            LANE(LANES) {
                const REAL low = p[j] > eps ? p[j] : eps;
                p[j] = low < C(1.0) - eps ? low : C(1.0) - eps;
            }
            for (size_t r = count; r < LANES; r++) p[r] = C(1.0);
            LANE(LANES) wrong[j] |= -(INT)!(F(abs)(sum[j] - C(1.0)) <= near) | ((INT)counts[j] - 1);
#if FA_BITS == 32
            LANE(LANES) product[j] *= (double)p[j];
#else
            LANE(LANES) loss[j] -= log_f64(p[j]);
#endif
        }
        for (size_t j = 0; j < LANES; j++) bad |= (UINT)wrong[j];
        LANE(LANES) loss[j] -= log_f64(product[j]);
        job->partial[unit] = (INT)bad < 0 ? (double)REAL_NAN : F(lanes_tree)(loss);
    }
}
