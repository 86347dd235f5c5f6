/* log_loss.h (template): the negative log-likelihood of labels under given probabilities, each clipped to [eps, 1 - eps], in the one
 * pass that also looks at every probability: a group's sum is nan if a number of its rows is outside [0, 1] or nan, or a row does
 * not sum to 1. The caller finds out which. Bytes per element from memory: 1 read.
 */

/* The least, the greatest and the sum of a row. */
static void F(row_facts)(const REAL *x, size_t n, REAL *least, REAL *most, REAL *sum)
{
    REAL lo = C(1.0), hi = C(0.0);
    _Pragma("omp simd reduction(min:lo) reduction(max:hi)") for (size_t j = 0; j < n; j++) {
        lo = x[j] < lo ? x[j] : lo;
        hi = x[j] > hi ? x[j] : hi;
    }
    *least = lo;
    *most = hi;
    *sum = (REAL)F(row_dot)(x, NULL, n, NULL);
}

ROWS(log_loss)
{
    const fa_xent_job *job = job_;
    const size_t n = job->cols;
    const REAL eps = K(0x1p-23f, 0x1p-52), near = K(0x1.6a09e6p-12f, 0x1p-26);      /* eps, sqrt(eps) */
    const int columns = fa_class_by_columns(job, FA_ROWS_log_loss);
    REAL panel[FA_SHORT * LANES] __attribute__((aligned(64)));
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        REAL lo[LANES], hi[LANES], sum[LANES], p[LANES];
        double loss[LANES];
        REAL right = C(0.0);
        F(samples) s;
        fa_group g;
        LANE(LANES) lo[j] = hi[j] = sum[j] = C(0.0);
        if (columns) {
            const fa_columns b = fa_columns_unit(job->outer, n, 1, sizeof(REAL), (size_t)unit);
            g = fa_group_of_columns(&b, 0, n, LANES);
            F(columns_in)(panel, job->x, (ptrdiff_t)n, NULL, 0, &b, 0, n);
            for (size_t c = 0; c < n; c++)
                LANE(LANES) {
                    const REAL v = panel[c * LANES + j];
                    lo[j] = v < lo[j] ? v : lo[j];
                    hi[j] = v > hi[j] ? v : hi[j];
                    sum[j] += v;
                }
        } else {
            const size_t row = (size_t)unit * job->unit_rows, left = job->outer - row;
            g = fa_group_of_rows(row, left < job->unit_rows ? left : job->unit_rows, n);
            for (size_t r = 0; r < g.count; r++) F(row_facts)(SAMPLE(x, row + r), n, &lo[r], &hi[r], &sum[r]);
        }
        F(describe)(job, &g, &s);
        F(read_at_labels)(job, &g, &s, p);
        for (size_t r = g.count; r < LANES; r++) sum[r] = C(1.0);
        LANE(LANES) {                                   /* loops of one type each: mixed, gcc made scalar code with branches */
            const REAL low = p[j] > eps ? p[j] : eps;
            p[j] = low < C(1.0) - eps ? low : C(1.0) - eps;
        }
        LANE(LANES) loss[j] = (double)p[j];
        LANE(LANES) loss[j] = -log_f64(loss[j]);
        LANE(LANES) loss[j] = s.counts[j] ? loss[j] : 0.0;
        _Pragma("omp simd reduction(+:right)") for (size_t j = 0; j < LANES; j++) {
            const REAL apart = F(abs)(sum[j] - C(1.0)), one = C(1.0), none = C(0.0);
            const REAL within = lo[j] >= none ? hi[j] <= one ? one : none : none;
            right += apart <= near ? within : none;
        }
        job->partial[unit] = right == (REAL)LANES ? F(lanes_tree)(loss) : (double)REAL_NAN;
    }
}
