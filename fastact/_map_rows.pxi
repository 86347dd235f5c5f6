# Maps over rows: what the fast door does where operands are runs of elements that lie apart. Included by _kernels.pyx.

cdef enum:
    CHUNK = 16384        # elements of a long row that one unit takes
    # How far ahead shorter rows are fetched of what no cache holds: the caches' own prefetching loses its way from run
    # to run. glu of 65536x256 float32, Zen 5, one thread 7.2 -> 3.4 ms, past the caches too 2.1; two 3.7 -> 2.4, 1.7.
    AHEAD = 4096
    # Bytes of a row from which on it may leave past the caches, and from which on by itself; shorter ones by join_rows.
    LINES = 512
    ALONE = 8192
    SHORT = 64           # rows shorter than this are packed: a kernel call on a padded group costs as much


cdef struct rows_job:
    map_job map                      # of the first row, but n is that of all; the last row may be cut short by it
    Py_ssize_t rows, inner, pack     # rows in a unit, 0: a unit is a chunk of one row
    Py_ssize_t step[MAX_ARGS]        # bytes from row to row
    bint joined                      # by join_rows
    Py_ssize_t ahead                 # rows between what is computed and what is fetched; 0: nothing is
    const char *param                # NULL, or the parameter of row r at r % params
    Py_ssize_t params
    int dtype


cdef inline void fetch_rows(rows_job *job, Py_ssize_t row, char **arg, Py_ssize_t nbytes) noexcept nogil:
    cdef int k
    if job.ahead and row + job.ahead < job.rows:
        for k in range(job.map.inputs):
            fa_fetch(arg[k] + job.ahead * job.step[k], nbytes)


cdef void join_rows(rows_job *job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Whole rows to a result without gaps, past the caches: a line with the end of one and the begin of the next is
    computed from both, because lines stored in two parts are read first, and hold up the others. (By parts rows of 512
    bytes took 2.6 times as long as with plain stores, of 4 KiB 1.3 times, of 8 KiB as long; so 0.65 of it, 0.75.)"""
    cdef map_job *map = &job.map
    cdef Py_ssize_t itemsize = map.itemsize, lanes = FA_GROUP // itemsize, row, n, count, held = 0
    cdef char line[MAX_ARGS][FA_GROUP]
    cdef char *lines[MAX_ARGS]
    cdef char *arg[MAX_ARGS]
    cdef char *out = NULL
    cdef int k
    for k in range(map.args):
        lines[k] = line[k]
    for row in range(begin, end):
        for k in range(map.args):
            arg[k] = map.arg[k] + row * job.step[k]
        fetch_rows(job, row, arg, job.inner * itemsize)
        if held:
            count = lanes - held
            for k in range(map.inputs):
                memcpy(line[k] + held * itemsize, arg[k], count * itemsize)
                arg[k] += count * itemsize
            map.fn(lanes, lines, map.param)
            table.stream(out, line[map.inputs], FA_GROUP)
            arg[map.inputs] += count * itemsize
        else:
            count = to_line(map, arg[map.inputs])
            if count:
                map_padded(map, arg, count)
        n = job.inner - count
        count = n & ~(FA_LEAVING_GROUPS * lanes - 1)
        map.leaving(count, arg, map.param)
        held = n - count
        for k in range(map.args):
            arg[k] += count * itemsize
        if held >= lanes:
            out = arg[map.inputs]
            arg[map.inputs] = line[map.inputs]
            map.fn(lanes, arg, map.param)
            table.stream(out, line[map.inputs], FA_GROUP)
            arg[map.inputs] = out
            held -= lanes
            for k in range(map.args):
                arg[k] += FA_GROUP
        out = arg[map.inputs]
        for k in range(map.inputs):
            memcpy(line[k], arg[k], held * itemsize)
    if held:
        map_padded(map, arg, held)
    table.stream_end()


cdef void rows_task(void *job_, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef rows_job *job = <rows_job *>job_
    cdef map_job map = job.map
    cdef Py_ssize_t chunks = (job.inner + CHUNK - 1) // CHUNK, unit, row, first, count, skipped
    cdef char *arg[MAX_ARGS]
    cdef int k
    if job.joined:
        join_rows(job, begin, end)
        return
    for unit in range(begin, end):
        if job.pack:
            packed_rows(job, unit * job.pack, min(job.pack, job.rows - unit * job.pack))
            continue
        row = unit // chunks
        first = unit % chunks * CHUNK
        count = min(min(<Py_ssize_t>CHUNK, job.inner - first), map.n - row * job.inner - first)
        if count <= 0:
            continue
        skipped = first * map.itemsize
        for k in range(map.args):
            arg[k] = map.arg[k] + row * job.step[k] + skipped
        if job.param != NULL:
            map.param[0] = scalar_at(job.param + row % job.params * map.itemsize, job.dtype)
        fetch_rows(job, row, arg, count * map.itemsize)
        if map.stream:
            map_stream(&map, arg, count)
        else:
            map_block(&map, arg, count)
    if map.stream:
        table.stream_end()


cdef void packed_rows(rows_job *job, Py_ssize_t first, Py_ssize_t rows) noexcept nogil:
    cdef map_job *map = &job.map
    cdef char buffer[MAX_ARGS][BLOCK * 8]
    cdef char *at[MAX_ARGS]
    cdef Py_ssize_t row = job.inner * map.itemsize, i
    cdef int k
    for k in range(map.args):
        at[k] = buffer[k]
        if k < map.inputs:
            for i in range(rows):
                memcpy(buffer[k] + i * row, map.arg[k] + (first + i) * job.step[k], row)
    map_block(map, at, rows * job.inner)
    for k in range(map.inputs, map.args):
        for i in range(rows):
            memcpy(map.arg[k] + (first + i) * job.step[k], buffer[k] + i * row, row)


cdef void rows_run(rows_job *job, int cost) noexcept nogil:
    cdef map_job *map = &job.map
    cdef Py_ssize_t units, row = job.inner * map.itemsize
    cdef bint joined = (row < ALONE and row == job.step[map.inputs] and map.n == job.rows * job.inner
                        and map.leaving != NULL and job.param == NULL)
    job.pack = BLOCK // job.inner if job.inner < SHORT and job.param == NULL else 0
    units = (job.rows + job.pack - 1) // job.pack if job.pack else job.rows * ((job.inner + CHUNK - 1) // CHUNK)
    job.ahead = 0
    if row < AHEAD and past_caches(map.n * map.itemsize * map.args):
        job.ahead = AHEAD // row
    set_stream(map, row >= (LINES if joined else ALONE))
    job.joined = joined and map.stream
    run(rows_task, job, units, fa_parts(map_ns(map, cost)))


cdef inline bint disjoint(char *a, Py_ssize_t a_bytes, char *b, Py_ssize_t b_bytes) noexcept nogil:
    return a + a_bytes <= b or b + b_bytes <= a
