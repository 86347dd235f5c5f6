/* _memory.h: memory of large new outputs, kept for the next one. Included by _kernels.pyx only.
 *
 * NumPy's allocator hands large arrays back to the system, which clears every page of the next one again: relu of 2^24
 * float32 into a new array takes two to three times as long as into one that is there. So outputs of FA_KEPT_FROM bytes
 * and more come from here (a NumPy memory handler, NEP 49), and what is freed stays until the next output of about its
 * size, within a limit. Blocks of FA_FREE_FROM bytes and more, which malloc would hand back at once, are marked MADV_FREE:
 * the system takes their pages when it needs them (2 % of relu's time for 64 MiB in huge pages, 80 us for 4 MiB, half
 * of relu's; smaller blocks stay with a process by malloc too). Blocks begin 2 KiB behind a page: NumPy's own lie 16 bytes
 * behind one, and a load waits for a store up to 192 bytes before it modulo 4096 (ALIGN in _map.pxi).
 */
#ifndef FASTACT_MEMORY_H
#define FASTACT_MEMORY_H

#include <numpy/ndarraytypes.h>
#include <stdlib.h>
#include <string.h>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

enum { FA_KEPT_FROM = 1 << 20, FA_KEPT_BLOCKS = 8, FA_KEPT_AT = 2048, FA_HUGE_PAGE = 1 << 21, FA_FREE_FROM = 1 << 25 };

static size_t fa_kept_limit, fa_kept_bytes;     /* at most, now */
static char *fa_kept[FA_KEPT_BLOCKS];           /* the oldest first; the size of a block stands at its start */
static int fa_kept_count;
static char fa_kept_busy;

/* A lock that nobody waits for: who does not get it (another thread, or a child forked meanwhile) does without. */
static int fa_kept_lock(void) { return !__atomic_test_and_set(&fa_kept_busy, __ATOMIC_ACQUIRE); }
static void fa_kept_unlock(void) { __atomic_clear(&fa_kept_busy, __ATOMIC_RELEASE); }

static size_t fa_block_bytes(const char *block) { size_t n; memcpy(&n, block, sizeof n); return n; }

static size_t fa_block_room(const char *block) { return fa_block_bytes(block) - 4096; }

static char *fa_kept_remove(int i)
{
    char *block = fa_kept[i];
    fa_kept_bytes -= fa_block_room(block);
    fa_kept_count--;
    memmove(fa_kept + i, fa_kept + i + 1, (size_t)(fa_kept_count - i) * sizeof *fa_kept);
    return block;
}

static void *fa_output_malloc(void *unused, size_t n)
{
    const size_t page = 4096, bytes = (n + FA_KEPT_AT + page - 1) & ~(page - 1);
    void *block = NULL;
    int i, best = -1;
    (void)unused;
    if (bytes < n)
        return NULL;
    if (fa_kept_lock()) {
        for (i = 0; i < fa_kept_count; i++) {       /* the smallest that is not a quarter too large */
            const size_t has = fa_block_bytes(fa_kept[i]);
            if (has >= bytes && has - bytes <= bytes / 4 && (best < 0 || has < fa_block_bytes(fa_kept[best])))
                best = i;
        }
        if (best >= 0)
            block = fa_kept_remove(best);
        fa_kept_unlock();
    }
    if (!block) {
        if (posix_memalign(&block, bytes < 2 * FA_HUGE_PAGE ? page : FA_HUGE_PAGE, bytes))
            return NULL;
#ifdef MADV_HUGEPAGE
        if (bytes >= 2 * FA_HUGE_PAGE)
            madvise(block, bytes, MADV_HUGEPAGE);   /* as NumPy does */
#endif
        memcpy(block, &bytes, sizeof bytes);
    }
    return (char *)block + FA_KEPT_AT;
}

static void fa_output_free(void *unused, void *p, size_t n)
{
    char *block, *old[FA_KEPT_BLOCKS + 1];
    int count = 0;
    (void)unused, (void)n;
    if (!p)
        return;
    block = old[count++] = (char *)p - FA_KEPT_AT;
    if (fa_block_room(block) <= fa_kept_limit && fa_kept_lock()) {
        const size_t room = fa_block_room(block);
        count = 0;
        while (fa_kept_count == FA_KEPT_BLOCKS || fa_kept_bytes + room > fa_kept_limit)
            old[count++] = fa_kept_remove(0);
#ifdef MADV_FREE
        if (room >= FA_FREE_FROM)
            madvise(block + 4096, room, MADV_FREE);
#endif
        fa_kept[fa_kept_count++] = block;
        fa_kept_bytes += room;
        fa_kept_unlock();
    }
    while (count)
        free(old[--count]);
}

static void *fa_output_calloc(void *unused, size_t count, size_t size)
{
    void *p = size && count > (size_t)-1 / size ? NULL : fa_output_malloc(unused, count * size);
    return p ? memset(p, 0, count * size) : NULL;
}

static void *fa_output_realloc(void *unused, void *p, size_t n)
{
    void *moved = fa_output_malloc(unused, n);
    if (p && moved) {
        const size_t had = fa_block_bytes((char *)p - FA_KEPT_AT) - FA_KEPT_AT;
        memcpy(moved, p, had < n ? had : n);
        fa_output_free(unused, p, had);
    }
    return moved;
}

static PyDataMem_Handler fa_output_handler = {
    "fastact_outputs", 1, {NULL, fa_output_malloc, fa_output_calloc, fa_output_realloc, fa_output_free},
};

static size_t fa_set_kept_limit(size_t n)
{
    const size_t before = fa_kept_limit;
    fa_kept_limit = n;
    while (fa_kept_bytes > n && fa_kept_count)
        free(fa_kept_remove(0));
    return before;
}

#endif
