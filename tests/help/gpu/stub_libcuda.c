/* A CUDA driver library without a GPU, so that the real pycuda and cuda-python can be called.
 *
 * Memory comes from malloc and streams do their work at once. It is strict where a driver is: most calls want a
 * current context, copies want page-locked memory and sizes that fit, frees want what was allocated. At the end of the
 * process it says on stderr what was not freed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef unsigned long long Pointer;

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, NOT_FOUND = 500 };
enum { DEVICE = 1, PINNED = 2, MAPPED = 3, HANDLE = 4 };
enum { BLOCKS = 4096, CAPACITY = 1 << 20 };

static struct { void *start; size_t size; int kind; } blocks[BLOCKS];
static size_t used;
static int context, retained, problems;
static __thread int depth;

#define NEEDS_CONTEXT if (depth == 0) return INVALID_CONTEXT

static Result take(void **out, size_t size, int kind) {
    size_t counted = kind == DEVICE || kind == MAPPED ? size : 0;
    if (size == 0) return INVALID_VALUE;
    if (used + counted > CAPACITY || posix_memalign(out, 4096, size)) return OUT_OF_MEMORY;
    memset(*out, 0xFF, size);
    for (int i = 0; i < BLOCKS; i++)
        if (!blocks[i].start) {
            blocks[i].start = *out, blocks[i].size = size, blocks[i].kind = kind;
            used += counted;
            return OK;
        }
    return OUT_OF_MEMORY;
}

static Result give(void *start, int kind) {
    for (int i = 0; i < BLOCKS; i++)
        if (blocks[i].start == start && blocks[i].kind == kind) {
            if (kind == DEVICE || kind == MAPPED) used -= blocks[i].size;
            memset(start, 0xFF, blocks[i].size);
            free(start);
            blocks[i].start = NULL;
            return OK;
        }
    return INVALID_VALUE;
}

static int inside(const void *start, size_t size, int kind) {
    for (int i = 0; i < BLOCKS; i++) {
        char *block = blocks[i].start;
        if (block && blocks[i].kind == kind && (char *)start >= block && (char *)start + size <= block + blocks[i].size)
            return 1;
    }
    return 0;
}

__attribute__((destructor)) static void report(void) {
    int left = 0;
    for (int i = 0; i < BLOCKS; i++) left += blocks[i].start != NULL;
    fprintf(stderr, "stub: %d left, %d retained, %d pushed, %d problems\n", left, retained, depth, problems);
}

Result cuInit(unsigned flags) { return OK; }
Result cuDriverGetVersion(int *version) { return *version = 12060, OK; }
Result cuDeviceGetCount(int *count) { return *count = 1, OK; }
Result cuDeviceGet(int *device, int number) { return *device = number, number ? INVALID_DEVICE : OK; }
Result cuDeviceGetName(char *name, int size, int device) { return snprintf(name, size, "Stub GPU"), OK; }
Result cuDeviceComputeCapability(int *major, int *minor, int device) { return *major = 8, *minor = 7, OK; }
Result cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
        case 18: *value = getenv("STUB_INTEGRATED") != NULL; return OK; /* CU_DEVICE_ATTRIBUTE_INTEGRATED */
        case 75: *value = 8; return OK; /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR */
        case 76: *value = 7; return OK; /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR */
        default: return INVALID_VALUE;
    }
}

Result cuDevicePrimaryCtxRetain(void **out, int device) { return *out = &context, retained++, OK; }
Result cuDevicePrimaryCtxRelease_v2(int device) { return retained--, OK; }
Result cuCtxPushCurrent_v2(void *which) { return which == &context ? depth++, OK : INVALID_CONTEXT; }
Result cuCtxPopCurrent_v2(void **out) { NEEDS_CONTEXT; return *out = &context, depth--, OK; }
Result cuCtxDetach(void *which) { return problems++, INVALID_CONTEXT; } /* what a primary context must not see */

Result cuMemGetInfo_v2(size_t *left, size_t *all) {
    NEEDS_CONTEXT;
    return *left = CAPACITY - used, *all = CAPACITY, OK;
}
Result cuMemAlloc_v2(Pointer *out, size_t size) { NEEDS_CONTEXT; return take((void **)out, size, DEVICE); }
Result cuMemFree_v2(Pointer start) { NEEDS_CONTEXT; return give((void *)start, DEVICE); }
Result cuMemHostAlloc(void **out, size_t size, unsigned flags) {
    NEEDS_CONTEXT;
    return take(out, size, flags & 2 ? MAPPED : PINNED);
}
Result cuMemFreeHost(void *start) { NEEDS_CONTEXT; return give(start, PINNED) && give(start, MAPPED); }
Result cuMemHostGetDevicePointer_v2(Pointer *out, void *start, unsigned flags) {
    NEEDS_CONTEXT;
    return *out = (Pointer)start, inside(start, 1, MAPPED) ? OK : INVALID_VALUE;
}
Result cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t size, void *stream) {
    NEEDS_CONTEXT;
    if (!inside((void *)to, size, DEVICE) || !inside(from, size, PINNED)) return INVALID_VALUE;
    return memcpy((void *)to, from, size), OK;
}
Result cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t size, void *stream) {
    NEEDS_CONTEXT;
    if (!inside(to, size, PINNED) || !inside((void *)from, size, DEVICE)) return INVALID_VALUE;
    return memcpy(to, (void *)from, size), OK;
}

Result cuStreamCreate(void **out, unsigned flags) { /* CU_STREAM_NON_BLOCKING alone */
    NEEDS_CONTEXT;
    return flags == 1 ? take(out, 16, HANDLE) : INVALID_VALUE;
}
Result cuStreamDestroy_v2(void *stream) { NEEDS_CONTEXT; return give(stream, HANDLE); }
Result cuStreamSynchronize(void *stream) { NEEDS_CONTEXT; return inside(stream, 1, HANDLE) ? OK : INVALID_VALUE; }
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
    NEEDS_CONTEXT;
    return inside(stream, 1, HANDLE) && inside(event, 1, HANDLE) ? OK : INVALID_VALUE;
}
Result cuEventCreate(void **out, unsigned flags) { /* CU_EVENT_DISABLE_TIMING alone */
    NEEDS_CONTEXT;
    return flags == 2 ? take(out, 16, HANDLE) : INVALID_VALUE;
}
Result cuEventDestroy_v2(void *event) { NEEDS_CONTEXT; return give(event, HANDLE); }
Result cuEventSynchronize(void *event) { NEEDS_CONTEXT; return inside(event, 1, HANDLE) ? OK : INVALID_VALUE; }
Result cuEventRecord(void *event, void *stream) {
    NEEDS_CONTEXT;
    return inside(stream, 1, HANDLE) && inside(event, 1, HANDLE) ? OK : INVALID_VALUE;
}

Result cuGetErrorString(Result error, const char **out) {
    return *out = error == OUT_OF_MEMORY ? "out of memory" : "an error of the stub", OK;
}
Result cuGetErrorName(Result error, const char **out) { return cuGetErrorString(error, out); }

/* cuda-python asks for every function by its name without the version suffix. */
Result cuGetProcAddress_v2(const char *name, void **out, int version, uint64_t flags, int *status) {
    const char *suffixes[] = {"_v2", ""};
    char symbol[128];
    Dl_info self;
    dladdr((void *)cuInit, &self);
    void *library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    for (int i = 0; i < 2; i++) {
        snprintf(symbol, sizeof symbol, "%s%s", name, suffixes[i]);
        if ((*out = dlsym(library, symbol))) return status ? *status = 0, OK : OK;
    }
    return status ? *status = 1, NOT_FOUND : NOT_FOUND;
}
