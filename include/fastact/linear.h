/* linear.h (template): what softmax losses of a linear layer need beside xent.h: logits that come in blocks of classes.
 *
 * A block holds the logits of some samples for the classes first .. first + classes - 1, fresh from a product with the
 * weights. linear_forward folds it into the state of its samples (a running log-sum-exp), linear_finish makes losses of the
 * states when all classes were seen, linear_gradient turns a block, computed again, into its gradient. Samples whose classes
 * come in one block need none of this: xent.h's kernels take them as they lie.
 *
 * The state of a sample: m the largest logit, rest the sum of exp(z - m) over all but one maximum. Two of them are
 *   rest = rest_1 + (1 + rest_2) exp(m_2 - m_1)    for m_1 >= m_2
 * so that log1p(rest) keeps its relative accuracy when one class dominates, in whichever block it is.
 */
#undef BLOCK_ROW
#define BLOCK_ROW(row) ((REAL *)job->z + (row) * job->classes)

/* The place of a label in the block; at least `classes` if it is in another. */
static inline size_t F(in_block)(const fa_linear_job *job, int64_t label) { return (size_t)label - job->first; }

/* The samples of unit u, described. */
FA_INLINE size_t F(linear_unit)(const fa_linear_job *job, ptrdiff_t unit, F(samples) *s)
{
    const size_t row = (size_t)unit * LANES, left = job->of.outer - row, rows = left < LANES ? left : LANES;
    const fa_group g = fa_group_of_rows(row, rows, job->of.cols);
    F(describe)(&job->of, &g, s);
    if (job->of.smoothing != 0.0)
        LANE(LANES) s->u[j] = job->of.smoothing / (double)job->of.cols;
    return rows;
}

/* The kernel that does F(name_sample) to one sample after the other: `row` in the batch, `r` among those described. */
#undef EACH_SAMPLE
#define EACH_SAMPLE(name)                                                                            \
    ROWS(name)                                                                                       \
    {                                                                                                \
        const fa_linear_job *job = job_;                                                             \
        for (ptrdiff_t unit = begin; unit < end; unit++) {                                           \
            F(samples) s;                                                                            \
            const size_t row = (size_t)unit * LANES, rows = F(linear_unit)(job, unit, &s);           \
            for (size_t r = 0; r < rows; r++) F(name##_sample)(job, &s, row + r, r);                 \
        }                                                                                            \
    }

/* What a product leaves to do: the bias, and logits of the labels that are not a product (large margin). */
FA_INLINE void F(linear_before_sample)(const fa_linear_job *job, const F(samples) *s, size_t row, size_t r)
{
    const size_t n = job->classes;
    REAL *z = BLOCK_ROW(row);
    const REAL *bias = job->bias;
    if (bias)
        LANE(n) z[j] += bias[j];
    if (job->label_logit && s->counts[r] && F(in_block)(job, s->label[r]) < n)
        z[F(in_block)(job, s->label[r])] = ((const REAL *)job->label_logit)[row];
}
EACH_SAMPLE(linear_before)

/* The gradient with respect to the bias; the label's, by the derivatives of what stands in place of its logit. */
FA_INLINE void F(linear_after_sample)(const fa_linear_job *job, const F(samples) *s, size_t row, size_t r)
{
    const size_t n = job->classes;
    REAL *z = BLOCK_ROW(row);
    double *dbias = job->dbias;
    if (dbias)
        LANE(n) dbias[j] += (double)z[j];
    if (job->own && s->counts[r] && F(in_block)(job, s->label[r]) < n) {
        REAL *at = z + F(in_block)(job, s->label[r]);
        const double grad = (double)*at;
        job->by_x[row] *= grad;
        job->own[s->label[r]] += grad * job->by_own[row];
        *at = (REAL)(grad * job->by_w[row]);
    }
}
EACH_SAMPLE(linear_after)

static inline void F(merge)(fa_linear_state *s, const fa_linear_state *b)
{
    const double m = b->m > s->m ? b->m : s->m;
    if (s->a != 0.0)
        s->ad += s->a * (s->m - m);
    if (b->a != 0.0)
        s->ad += b->ad + b->a * (b->m - m);
    s->a += b->a;
    if (b->maxima == 0.0 || s->maxima == 0.0)           /* a side that is all -inf, or holds a nan: its rest is 0, or nan */
        s->rest += b->rest;
    else if (b->m > s->m)
        s->rest = b->rest + (1.0 + s->rest) * exp_f64(s->m - b->m);
    else
        s->rest += (1.0 + b->rest) * exp_f64(b->m - s->m);
    s->maxima += b->maxima;
    s->m = m;
}

FA_INLINE void F(linear_forward_sample)(const fa_linear_job *job, const F(samples) *s, size_t row, size_t r)
{
    const size_t n = job->classes, chunk = fa_chunk_length(n, sizeof(REAL));
    const F(temperature) t = F(temperature_of)(1.0);
    fa_linear_state *state = job->state + row, block = {0};
    const REAL *z = BLOCK_ROW(row);
    double sum[2];
    REAL top[FA_CHUNKS];
    if (!s->counts[r])
        return;
    if (job->of.labels && F(in_block)(job, s->label[r]) < n)
        state->at_label = (double)z[F(in_block)(job, s->label[r])];
    const REAL m = F(row_max)(z, NULL, n, chunk, top);
    if (job->of.target || job->of.smoothing != 0.0) {
        F(dense_sums)(&job->of, row, z, job->first, n, m, t, (REAL)s->u[r], sum, F(LOGITS));
        block.a = sum[0];
        block.ad = sum[1];
    }
    F(row_sum)(z, NULL, NULL, n, chunk, m, top, t, 0, 0, 1, n * sizeof(REAL) <= FA_AHEAD_BYTES ? n : 0, sum);
    block.m = (double)m;
    block.rest = sum[0];
    block.maxima = sum[1];
    block.at_label = state->at_label;
    if (job->first == 0)
        *state = block;
    else
        F(merge)(state, &block);
}
EACH_SAMPLE(linear_forward)

ROWS(linear_finish)
{
    const fa_linear_job *job = job_;
    for (ptrdiff_t unit = begin; unit < end; unit++) {
        F(samples) s;
        const size_t row = (size_t)unit * LANES, rows = F(linear_unit)(job, unit, &s);
        fa_linear_state *state = job->state + row;
        LANE(LANES) s.rest[j] = s.maxima[j] = 1.0;
        for (size_t r = 0; r < rows; r++) {
            if (!s.counts[r])
                continue;
            s.rest[r] = state[r].rest;
            s.maxima[r] = state[r].m == (double)REAL_INF ? 0.0 : state[r].maxima;
            s.d[r] = job->of.labels ? state[r].at_label - state[r].m : 0.0;
            s.a[r] = state[r].a;
            s.ad[r] = state[r].ad;
            s.at_dense[r] = job->of.labels ? F(dense_at)(&job->of, s.label[r], s.u[r]) : 0.0;
        }
        F(sample_losses)(&job->of, &s, 1, 1);
        for (size_t r = 0; r < rows; r++) {
            state[r].p_scale = s.p_scale[r];
            state[r].k = s.k[r];
            state[r].at_label = s.at_label[r];
            if (job->of.loss)
                ((REAL *)job->of.loss)[row + r] = (REAL)s.loss[r];
        }
        job->of.partial[unit] = F(lanes_tree)(s.loss);
    }
}

/* e^(z - m) scale in place */
FA_INLINE void F(exp_row_scaled)(REAL *z, size_t n, REAL m, REAL scale)
{
    const F(temperature) t = {C(1.0), C(0.0)};
    REAL buf[SPAN], d[SPAN];
    for (size_t i = 0; i < n; i += SPAN) {
        REAL *at = z + i, *to = n - i < SPAN ? buf : at;
        if (to == buf)
            F(padded)(buf, at, NULL, n - i, -REAL_INF);
        LANE(SPAN) d[j] = to[j] - m;
        F(exp_lanes)(to, d, SPAN, t, 0);
        LANE(SPAN) to[j] *= scale;
        if (to == buf)
            F(unpadded)(at, buf, n - i);
    }
}

FA_INLINE void F(linear_gradient_sample)(const fa_linear_job *job, const F(samples) *s, size_t row, size_t r)
{
    const size_t n = job->classes;
    const fa_linear_state *state = job->state + row;
    REAL *z = BLOCK_ROW(row);
    if (!s->counts[r] || job->of.scale == 0.0) {
        memset(z, 0, n * sizeof(REAL));
        return;
    }
    const REAL m = (REAL)state->m, p_scale = (REAL)state->p_scale;
    if (job->of.target || job->of.smoothing != 0.0) {
        F(exp_row_scaled)(z, n, m, C(1.0));
        F(dense_gradient)(&job->of, row, z, z, job->first, n, (REAL)s->u[r], p_scale, (REAL)state->k);
    } else
        F(exp_row_scaled)(z, n, m, p_scale);
    if (job->of.labels && F(in_block)(job, s->label[r]) < n)
        z[F(in_block)(job, s->label[r])] = (REAL)state->at_label;
}
EACH_SAMPLE(linear_gradient)

/* z += factors features_of, a unit of rows after the other; nothing where the factor is 0. */
ROWS(add_multiples)
{
    const fa_linear_job *job = job_;
    const size_t d = job->features, rows = (size_t)end * LANES < job->of.outer ? (size_t)end * LANES : job->of.outer;
    for (size_t row = (size_t)begin * LANES; row < rows; row++) {
        const REAL factor = (REAL)job->factors[row], *from = (const REAL *)job->features_of + row * d;
        REAL *to = (REAL *)job->z + row * d;
        if (job->factors[row] != 0.0)
            LANE(d) to[j] += factor * from[j];
    }
}

/* ---- large margin (Liu et al. 2016) ---- */

static inline double F(tree_of_8)(const double *a)
{
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* a.b, a.a and b.b in one loop: 237 -> 161 us for 1024 pairs of 512 float32 (AVX-512). */
static inline void F(dots)(const REAL *a, const REAL *b, size_t n, double *ab, double *aa, double *bb)
{
    double lane[3][8] = {{0.0}};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        LANE(8) {
            const double u = (double)a[i + j], v = (double)b[i + j];
            lane[0][j] += u * v, lane[1][j] += u * u, lane[2][j] += v * v;
        }
    for (; i < n; i++) {
        const double u = (double)a[i], v = (double)b[i];
        lane[0][0] += u * v, lane[1][0] += u * u, lane[2][0] += v * v;
    }
    *ab = F(tree_of_8)(lane[0]), *aa = F(tree_of_8)(lane[1]), *bb = F(tree_of_8)(lane[2]);
}

/* What stands in the place of the label's logit, z = (lambda s + |w||x| psi)/(1 + lambda) with s = w.x = |w||x|c, and
 *   dz/dx = by_w w + by_x x,  dz/dw = by_w x + by_own w:   by_w = (lambda + psi')/(1 + lambda), q = (psi - c psi')/(1 + lambda),
 *   by_x = q |w|/|x|,  by_own = q |x|/|w|
 * psi = (-1)^k T_m(c) - 2k, psi' = (-1)^k m U_(m-1)(c), by recurrence: finite at |c| = 1, where acos has no derivative.
 * k counts the knots cos(pi/m) > cos(2pi/m) > .. that are above c. A zero vector has c = 0 and no direction. */
FA_INLINE void F(large_margin_sample)(const fa_linear_job *job, const F(samples) *s, size_t row, size_t r)
{
    const size_t d = job->features;
    const double lambda = job->lambda, margin = (double)job->margin;
    if (!s->counts[r])
        return;
    const REAL *x = (const REAL *)job->features_of + row * d, *w = (const REAL *)job->class_of + (size_t)s->label[r] * d;
    double dot, xx, ww;
    F(dots)(x, w, d, &dot, &xx, &ww);
    const double nx = __builtin_sqrt(xx), nw = __builtin_sqrt(ww);
    double c = nx * nw == 0.0 ? 0.0 : dot / nx / nw, k = 0.0, t = 1.0, t1, u = 0.0, u1 = 1.0;
    c = c > 1.0 ? 1.0 : c < -1.0 ? -1.0 : c;
    t1 = c;
    for (size_t i = 1; i < job->margin; i++) {          /* t, t1 = T_(i-1), T_i;  u, u1 = U_(i-2), U_(i-1) */
        const double t2 = 2.0 * c * t1 - t, u2 = 2.0 * c * u1 - u;
        t = t1, t1 = t2, u = u1, u1 = u2;
        k += c < job->knots[i - 1];
    }
    const double sign = k - 2.0 * (double)(int64_t)(0.5 * k) == 0.0 ? 1.0 : -1.0;
    const double psi = sign * t1 - 2.0 * k, slope = sign * margin * u1, q = (psi - c * slope) / (1.0 + lambda);
    ((REAL *)job->label_logit)[row] = (REAL)((lambda * dot + nx * nw * psi) / (1.0 + lambda));
    job->by_w[row] = (lambda + slope) / (1.0 + lambda);
    job->by_x[row] = nx == 0.0 ? 0.0 : q * nw / nx;
    job->by_own[row] = nw == 0.0 ? 0.0 : q * nx / nw;
}
EACH_SAMPLE(large_margin)
