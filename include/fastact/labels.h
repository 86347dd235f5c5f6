/* labels.h: class labels of any integer type, read a block at a time. Included once, before the templates. */
enum { FA_LABEL_BLOCK = 64 };

#define FA_READ_LABELS(type, limit)                                                     \
    if (stride == sizeof(type))                                                         \
        for (size_t i = 0; i < n; i++) to[i] = limit(((const type *)at)[i]);            \
    else                                                                                \
        for (size_t i = 0; i < n; i++) to[i] = limit(*(const type *)(at + (ptrdiff_t)i * stride));
#define FA_AS_IT_IS(label) (int64_t)(label)
#define FA_NO_WRAP(label) (int64_t)((label) > INT64_MAX ? INT64_MAX : (label))      /* no class, and never ignore_index */

/* n labels from `first` on, every `step`th, as int64. */
FA_INLINE void fa_read_labels(const fa_xent_job *job, size_t first, size_t step, size_t n, int64_t *to)
{
    const char *at = job->labels + (ptrdiff_t)first * job->label_stride;
    const ptrdiff_t stride = (ptrdiff_t)step * job->label_stride;
    switch (job->label_type) {
    case FA_INT8: FA_READ_LABELS(int8_t, FA_AS_IT_IS) break;
    case FA_INT16: FA_READ_LABELS(int16_t, FA_AS_IT_IS) break;
    case FA_INT32: FA_READ_LABELS(int32_t, FA_AS_IT_IS) break;
    case FA_INT64: FA_READ_LABELS(int64_t, FA_AS_IT_IS) break;
    case FA_UINT8: FA_READ_LABELS(uint8_t, FA_AS_IT_IS) break;
    case FA_UINT16: FA_READ_LABELS(uint16_t, FA_AS_IT_IS) break;
    case FA_UINT32: FA_READ_LABELS(uint32_t, FA_AS_IT_IS) break;
    case FA_UINT64: FA_READ_LABELS(uint64_t, FA_NO_WRAP) break;
    }
}

/* Whether a row with this label counts: 1 or 0. A label that is no class was refused before; one that became so since (labels may
 * change while the GIL is released) is left out like an ignored one, so that nothing is read out of bounds. All in 64 bits:
 * with ints between, gcc does not vectorise its loops. */
FA_INLINE int64_t fa_counts(int64_t label, uint64_t cols, int64_t ignores, int64_t ignore)
{
    const int64_t within = (uint64_t)label < cols ? 1 : 0, ignored = label == ignore ? ignores : 0;
    return within & ~ignored;
}
