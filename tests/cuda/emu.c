/* Kernels on the processor.
 *
 * A module's PTX is looked up by its hash among the CUDA C++ sources that the NVRTC proxy kept; the source is translated
 * (translate.py) and compiled by g++ against shim/ when it is first launched, and the result kept by the hash of source
 * and shim. A launch runs blocks in any order on CUDA_EMU_THREADS threads. In a block
 *
 *   - without barriers and warp operations, threads are a loop, one after the other (EMU_LOOP of shim/emu.h);
 *   - with them, each thread is a fiber with a stack of its own. Lanes run until they wait. When every lane of a warp
 *     waits or has ended, an operation of the warp is done for the lanes that wait at the same place of the source (the
 *     place of the lowest of them first; the summary counts those that not all living lanes came to); when every thread of
 *     the block waits at __syncthreads(), or has ended, all go on. Threads that wait for a cuda::barrier are asked again each
 *     round; a block in which nothing moves any more aborts the program, with a line that says where its threads wait.
 *
 * Not modelled: races between threads of a block (they run in turns), asynchrony (cp.async is done at once),
 * time, weak memory order.
 *
 * Environment:
 *   CUDA_EMU          0: compute nothing, as the stand-in without this file
 *   CUDA_EMU_HOME     folder of translate.py and shim/ [that of libcuda.so.1]
 *   CUDA_EMU_CACHE    folder of what was compiled, and of the sources by PTX [CUDA_EMU_HOME/cache]
 *   CUDA_EMU_THREADS  [number of processors]
 *   CUDA_EMU_CXX      [g++]
 *   CUDA_EMU_CXXFLAGS [-O2 -march=native -mno-red-zone]
 *   CUDA_EMU_POISON   1: shared memory is all ones (NaN) at the start of each block
 *   CUDA_EMU_ORDER    backwards: of the threads of a block the last runs first, up to each barrier; two that race then give
 *                     another result than in the usual order, unless they write the same
 *   CUDA_EMU_MAX_LINES  sources with more lines are refused at module load [0: no limit]
 *   CUDA_EMU_REFUSE   words, by commas: sources that have one are refused at module load, so that autotune has fewer candidates
 *   CUDA_EMU_AVOID    words: a kernel whose source has one seems 100 times slower to events (autotune takes others, where it tries any)
 *   CUDA_EMU_PREFER   words: a kernel whose source has none seems 100 times slower (cp_async_bulk: autotune takes TMA)
 *   CUDA_EMU_KEEP     1: keep the translated sources
 */
#define _GNU_SOURCE
#include "emu.h"
#include <dlfcn.h>
#include <stdarg.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "fnv.h"

/* ---------------------------------------------------------------- as in shim/emu.h */
typedef struct { unsigned x, y, z; } Dim;
typedef struct Thread Thread;
typedef void (*Resolve)(void **slots, unsigned mask);
typedef struct {
    void (*block_barrier)(Thread *);
    void (*warp)(Thread *, unsigned place, void *slot, Resolve resolve);
    void (*yield)(Thread *);
} Runtime;
struct Thread {
    Dim tid, bid, bdim, gdim;
    char *shared;
    const Runtime *run;
    unsigned lane, linear;
    void *fiber;
};
typedef void (*Blocks)(Thread *start, void **params, unsigned long from, unsigned long to);
typedef void (*One)(Thread *t, void **params);

/* ---------------------------------------------------------------- fibers */
enum { READY, AT_WARP, AT_BARRIER, AT_YIELD, ENDED };
enum { MAX_THREADS = 1024, STACK = 256 << 10, SHARED = 256 << 10, MAX_WORKERS = 64 };
typedef struct Worker Worker;
typedef struct {
    Thread t;
    void *sp;
    Worker *worker;
    int state;
    unsigned place;
    void *slot;
    Resolve resolve;
} Fiber;
struct Worker {
    Fiber fibers[MAX_THREADS];
    int made;
    char *shared;
    void *sp; /* of the scheduler */
    One one;
    void **params;
    const char *name;
    pthread_t thread;
};

/* emu_switch(&where the stack pointer is kept, the one to take). The registers that a call must keep lie on the stack. */
void emu_switch(void **keep, void *take);
void emu_start(void);
__asm__(
    ".text\n.hidden emu_switch\n.globl emu_switch\nemu_switch:\n"
    "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
    "    mov %rsp, (%rdi)\n    mov %rsi, %rsp\n"
    "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n    ret\n"
    ".hidden emu_start\n.globl emu_start\nemu_start:\n"
    "    mov %r12, %rdi\n    call emu_fiber\n    ud2\n");

__attribute__((used, visibility("hidden"))) void emu_fiber(Fiber *f) {
    for (;;) {
        f->worker->one(&f->t, f->worker->params);
        f->state = ENDED;
        emu_switch(&f->sp, f->worker->sp);
    }
}

static void make_fiber(Worker *w, Fiber *f) {
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) abort();
    mprotect(stack, 4096, PROT_NONE); /* beyond it: a fault, not another fiber's stack */
    /* Not all stacks at the same offset from a page: they would share few lines of the cache. */
    void **top = (void **)(stack + STACK - 64 - (f - w->fibers) % 32 * 128);
    *--top = NULL;
    *--top = NULL;
    *--top = (void *)emu_start;
    *--top = NULL;       /* rbp */
    *--top = NULL;       /* rbx */
    *--top = f;          /* r12 */
    *--top = NULL, *--top = NULL, *--top = NULL;
    f->sp = top;
    f->worker = w;
}

static void block_barrier(Thread *t) {
    Fiber *f = t->fiber;
    f->state = AT_BARRIER;
    emu_switch(&f->sp, f->worker->sp);
}
static void warp(Thread *t, unsigned place, void *slot, Resolve resolve) {
    Fiber *f = t->fiber;
    f->state = AT_WARP;
    f->place = place;
    f->slot = slot;
    f->resolve = resolve;
    emu_switch(&f->sp, f->worker->sp);
}
static void yield(Thread *t) {
    Fiber *f = t->fiber;
    f->state = AT_YIELD;
    emu_switch(&f->sp, f->worker->sp);
}
static const Runtime runtime = { block_barrier, warp, yield };

static int backwards;
static uint64_t parted; /* operations of a warp that not all of its living lanes came to */

/* Runs the lanes of a warp as far as they come: until all that live wait at the barrier of the block, or some wait for a
 * cuda::barrier (AT_YIELD). Of those that wait at an operation of the warp only some are let go on while others yield
 * if `force`d: first it is tried whether these come, too. Whether anything but yielding was done. */
static int run_warp(Worker *w, Fiber *lanes, int count, int force) {
    for (int moved = 0;; moved = 1) {
        int first = -1, yields = 0;
        for (int i = 0; i < count; i++) {
            int l = backwards ? count - 1 - i : i;
            Fiber *f = &lanes[l];
            if (f->state == READY) {
                emu_switch(&w->sp, f->sp);
                if (f->state != AT_YIELD) moved = 1;
            }
            if (f->state == AT_WARP && (first < 0 || l < first)) first = l;
            yields += f->state == AT_YIELD;
        }
        if (first < 0 || (yields && !force)) return moved;
        void *slots[32] = { 0 };
        unsigned mask = 0, place = lanes[first].place;
        int others = 0;
        for (int l = 0; l < count; l++) {
            if (lanes[l].state == AT_WARP && lanes[l].place == place) mask |= 1u << l, slots[l] = lanes[l].slot;
            else others += lanes[l].state != ENDED;
        }
        if (others) __atomic_add_fetch(&parted, 1, __ATOMIC_RELAXED);
        lanes[first].resolve(slots, mask);
        for (int l = 0; l < count; l++) if (mask >> l & 1) lanes[l].state = READY;
    }
}

static void run_block(Worker *w, const Thread *start, unsigned long b) {
    int count = start->bdim.x * start->bdim.y * start->bdim.z;
    for (; w->made < count; w->made++) make_fiber(w, &w->fibers[w->made]);
    for (int i = 0; i < count; i++) {
        Fiber *f = &w->fibers[i];
        f->t = *start;
        f->t.bid = (Dim){ b % start->gdim.x, b / start->gdim.x % start->gdim.y, b / start->gdim.x / start->gdim.y };
        f->t.tid = (Dim){ i % start->bdim.x, i / start->bdim.x % start->bdim.y, i / start->bdim.x / start->bdim.y };
        f->t.shared = w->shared;
        f->t.lane = i % 32;
        f->t.linear = i;
        f->t.fiber = f;
        f->state = READY;
    }
    for (int idle = 0;;) {
        int moved = 0, live = 0, at_barrier = 0, yields = 0;
        for (int warp = 0, warps = (count + 31) / 32; warp < warps; warp++) {
            int i = 32 * (backwards ? warps - 1 - warp : warp);
            moved |= run_warp(w, &w->fibers[i], count - i < 32 ? count - i : 32, idle == 1);
        }
        for (int i = 0; i < count; i++) {
            int state = w->fibers[i].state;
            live += state != ENDED, at_barrier += state == AT_BARRIER, yields += state == AT_YIELD;
        }
        if (!live) return;
        idle = moved ? 0 : idle + 1;
        if (idle > 3) {
            fprintf(stderr, "emu: block %lu of %s waits for ever: of %d threads %d at __syncthreads, %d at a cuda::barrier\n", b, w->name, live, at_barrier, yields);
            abort();
        }
        for (int i = 0; i < count; i++) {
            Fiber *f = &w->fibers[i];
            if (f->state == AT_YIELD || (f->state == AT_BARRIER && at_barrier == live)) f->state = READY;
        }
        if (at_barrier == live) idle = 0;
    }
}

/* ---------------------------------------------------------------- kernels */
typedef struct Kernel Kernel;
struct Kernel {
    uint64_t hash;
    int weight; /* of a launch in the time that events show */
    int state; /* 0 not compiled, 1 to be run, 2 left out, -1 unsupported */
    char *reason, *source, *name;
    Blocks blocks;
    One one;
    uint64_t launches, threads;
    double seconds;
    Kernel *next;
};
static Kernel *kernels;
static char *home, *cache;
static uint64_t shim_hash, compiled, found_compiled, refused_loads;
static double compile_seconds;
static int on = 1, workers = 2, poison, max_lines;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
static const char *setting(const char *name, const char *other) {
    const char *value = getenv(name);
    return value && *value ? value : other;
}
static char *text_of(const char *path) {
    FILE *in = fopen(path, "rb");
    if (!in) return NULL;
    fseek(in, 0, SEEK_END);
    long size = ftell(in);
    rewind(in);
    char *text = calloc(1, size + 1);
    if (fread(text, 1, size, in) != (size_t)size) text[0] = 0;
    fclose(in);
    return text;
}
__attribute__((format(printf, 1, 2))) static char *print(const char *format, ...) {
    char *out = NULL;
    va_list rest;
    va_start(rest, format);
    if (vasprintf(&out, format, rest) < 0) abort();
    va_end(rest);
    return out;
}

static Kernel *kernel_of(uint64_t hash) {
    for (Kernel *k = kernels; k; k = k->next) if (k->hash == hash) return k;
    Kernel *k = calloc(1, sizeof *k);
    k->hash = hash;
    k->next = kernels;
    return kernels = k;
}
static void unsupported(Kernel *k, char *reason) {
    k->state = -1;
    k->reason = reason;
    for (char *p = reason; *p; p++) if (*p == '\n') *p = ' ';
}

/* The source, from this run or an earlier one (CubeCL keeps PTX, and then asks NVRTC for nothing). */
static char *source_path(uint64_t hash) {
    char *path = print("%s/kernels/%016lx.cu", setting("CUDA_STUB_DIR", "."), hash);
    if (!access(path, R_OK)) return path;
    free(path);
    path = print("%s/sources/%016lx.cu", cache, hash);
    if (!access(path, R_OK)) return path;
    free(path);
    return NULL;
}

/* The first of some words, by commas, that a text has. */
static const char *has_word(const char *text, const char *words) {
    static char word[256];
    while (*words) {
        size_t length = strcspn(words, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        if (length && strstr(text, word)) return word;
        words += length + (words[length] == ',');
    }
    return NULL;
}

int emu_weight(uint64_t hash) {
    if (!on) return 1;
    const Kernel *k = kernel_of(hash);
    return k->weight ? k->weight : 1;
}

const char *emu_check(uint64_t hash) {
    if (!on) return NULL;
    Kernel *k = kernel_of(hash);
    if (!k->source && k->state >= 0) {
        k->source = source_path(hash);
        if (!k->source) unsupported(k, print("no source is known of this PTX"));
    }
    if (k->state < 0) return refused_loads++, k->reason;
    if (k->state) return NULL;
    char *text = text_of(k->source);
    static const char *const not[] = { "cuda::pipeline", "shared_to_global", "__cluster_dims__", "wgmma", "tcgen05", NULL };
    for (int i = 0; not[i] && !k->state; i++)
        if (strstr(text, not[i])) unsupported(k, print("%s", not[i]));
    int lines = 0;
    for (const char *p = text; *p; p++) lines += *p == '\n';
    if (!k->state && max_lines && lines > max_lines) unsupported(k, print("more than %d lines", max_lines));
    const char *refused = has_word(text, setting("CUDA_EMU_REFUSE", ""));
    if (!k->state && refused) unsupported(k, print("asked to refuse %s", refused));
    k->weight = (*setting("CUDA_EMU_PREFER", "") && !has_word(text, setting("CUDA_EMU_PREFER", ""))) || has_word(text, setting("CUDA_EMU_AVOID", "")) ? 100 : 1;
    free(text);
    if (k->state < 0) return refused_loads++, k->reason;
    return NULL;
}

static void compile(Kernel *k) {
    char *text = text_of(k->source);
    uint64_t key = (fnv(text, strlen(text)) ^ shim_hash) * 0x100000001b3ull;
    free(text);
    char *so = print("%s/%016lx.so", cache, key);
    if (access(so, R_OK)) {
        double start = now();
        char *base = print("%s/%016lx.%d", cache, key, getpid());
        char *command = print("python3 '%s/translate.py' '%s' '%s.cc' > '%s.log' 2>&1 && "
            "%s -std=c++17 %s -fPIC -shared -w -fno-exceptions -fvisibility=hidden -I'%s/shim' '%s.cc' -o '%s.so' -lm >> '%s.log' 2>&1 && mv '%s.so' '%s'",
            home, k->source, base, base,
            setting("CUDA_EMU_CXX", "g++"), setting("CUDA_EMU_CXXFLAGS", "-O2 -march=native -mno-red-zone"), home, base, base, base, base, so);
        int status = system(command);
        compile_seconds += now() - start;
        compiled++;
        if (status) {
            char *log = print("%s.log", base), *why = text_of(log);
            char *error = why ? strstr(why, "error:") : NULL;
            int refusal = WIFEXITED(status) && WEXITSTATUS(status) == 3;
            unsupported(k, refusal ? print("%.80s", why ? why : "?") : print("g++: %.200s", error ? error : why ? why : "?"));
            if (!refusal) fprintf(stderr, "emu: %s did not compile, see %s\n", k->source, log);
            return;
        }
        char *rest = print("rm -f '%s.cc' '%s.log'", base, base);
        if (!getenv("CUDA_EMU_KEEP") && system(rest)) {}
    } else found_compiled++;
    void *lib = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    if (!lib) { unsupported(k, print("dlopen: %s", dlerror())); return; }
    k->blocks = (Blocks)dlsym(lib, "emu_blocks");
    k->one = (One)dlsym(lib, "emu_one");
    k->state = k->blocks || k->one ? 1 : -1;
    if (k->state < 0) unsupported(k, print("no way in"));
}

/* ---------------------------------------------------------------- launches, on several threads */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    uint64_t turn;
    int busy;
    Kernel *kernel;
    Thread start;
    void **params;
    unsigned long blocks, next, piece;
} job = { .lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };
static Worker *team[MAX_WORKERS];
static __thread const Kernel *running;

static void work(Worker *w) {
    running = job.kernel;
    Thread start = job.start;
    start.shared = w->shared;
    w->one = job.kernel->one;
    w->params = job.params;
    w->name = job.kernel->name;
    for (;;) {
        unsigned long from = __atomic_fetch_add(&job.next, job.piece, __ATOMIC_RELAXED), to = from + job.piece;
        if (from >= job.blocks) break;
        if (to > job.blocks) to = job.blocks;
        if (job.kernel->blocks) job.kernel->blocks(&start, job.params, from, to);
        else for (unsigned long b = from; b < to; b++) {
            if (poison) memset(w->shared, 0xff, SHARED);
            run_block(w, &start, b);
        }
    }
    running = NULL;
}
static void *helper(void *at) {
    uint64_t seen = 0;
    for (;;) {
        pthread_mutex_lock(&job.lock);
        while (job.turn == seen) pthread_cond_wait(&job.go, &job.lock);
        seen = job.turn;
        pthread_mutex_unlock(&job.lock);
        work(at);
        pthread_mutex_lock(&job.lock);
        if (!--job.busy) pthread_cond_signal(&job.done);
        pthread_mutex_unlock(&job.lock);
    }
    return NULL;
}
static Worker *make_worker(void) {
    Worker *w = calloc(1, sizeof *w);
    w->shared = aligned_alloc(4096, SHARED);
    memset(w->shared, 0, SHARED);
    return w;
}

int emu_launch(uint64_t hash, const char *name, const unsigned grid[3], const unsigned block[3], unsigned shared, void **params) {
    (void)shared;
    if (!on) return 0;
    Kernel *k = kernel_of(hash);
    k->launches++;
    if (!k->name) k->name = strdup(name);
    if (!k->state) {
        /* What CubeCL measures the GPU with: nobody reads what it computes, and there is much of it. */
        if (strstr(name, "_throughput") || strstr(name, "launch_overhead") || strstr(name, "prime_buffer")) k->state = 2;
        else compile(k);
    }
    if (k->state < 0) return fprintf(stderr, "emu: %s is not supported: %s\n", name, k->reason), 801;
    if (k->state == 2) return 0;
    double start = now();
    job.kernel = k;
    job.params = params;
    job.start = (Thread){ .bdim = { block[0], block[1], block[2] }, .gdim = { grid[0], grid[1], grid[2] }, .run = &runtime };
    job.blocks = (unsigned long)grid[0] * grid[1] * grid[2];
    job.next = 0;
    unsigned long threads = job.blocks * block[0] * block[1] * block[2];
    k->threads += threads;
    if (!team[0]) team[0] = make_worker();
    int many = workers > 1 && job.blocks > 1 && (k->one || threads > 4096);
    job.piece = many ? (job.blocks + 8 * workers - 1) / (8 * workers) : job.blocks;
    if (many) {
        for (int i = 1; i < workers; i++)
            if (!team[i]) {
                team[i] = make_worker();
                /* A turn that it has not seen begins below. */
                job.turn = 0;
                if (pthread_create(&team[i]->thread, NULL, helper, team[i])) abort();
            }
        pthread_mutex_lock(&job.lock);
        job.busy = workers - 1;
        job.turn++;
        pthread_cond_broadcast(&job.go);
        pthread_mutex_unlock(&job.lock);
    }
    work(team[0]);
    if (many) {
        pthread_mutex_lock(&job.lock);
        while (job.busy) pthread_cond_wait(&job.done, &job.lock);
        pthread_mutex_unlock(&job.lock);
    }
    k->seconds += now() - start;
    return 0;
}

/* ---------------------------------------------------------------- faults */
static struct sigaction before_segv, before_fpe;
static void fault(int number, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    if (running && number == SIGFPE) {
        /* A GPU divides by zero without a word: the quotient is all ones, the remainder the dividend. */
        unsigned char *p = (unsigned char *)c->uc_mcontext.gregs[REG_RIP], *q = p;
        int wide = 0;
        if (*q == 0x66) q++;
        if ((*q & 0xf0) == 0x40) wide = *q++ & 8;
        if ((*q == 0xf7 || *q == 0xf6) && (q[1] >> 3 & 6) == 6) {
            int mod = q[1] >> 6, rm = q[1] & 7, length = 2;
            if (mod != 3 && rm == 4) length += 1 + ((q[2] & 7) == 5 && mod == 0 ? 4 : 0);
            if (mod == 0 && rm == 5) length += 4;
            length += mod == 1 ? 1 : mod == 2 ? 4 : 0;
            greg_t *ax = &c->uc_mcontext.gregs[REG_RAX], *dx = &c->uc_mcontext.gregs[REG_RDX];
            *dx = wide ? *ax : (greg_t)(uint32_t)*ax;
            *ax = wide ? -1 : (greg_t)0xffffffffu;
            c->uc_mcontext.gregs[REG_RIP] = (greg_t)(q + length);
            return;
        }
    }
    if (running) {
        /* Not fprintf: it takes 8 KiB of a stack, and that of signals may have no more. */
        static char text[512];
        int length = snprintf(text, sizeof text, "emu: signal %d at %p in kernel %s, %s\n", number, info->si_addr, running->name, running->source);
        if (write(2, text, length) < 0) abort();
        signal(number, SIG_DFL);
        return;
    }
    sigaction(number, number == SIGSEGV ? &before_segv : &before_fpe, NULL);
}

void emu_begin(void) {
    Dl_info self;
    on = atoi(setting("CUDA_EMU", "1"));
    poison = atoi(setting("CUDA_EMU_POISON", "0"));
    backwards = !strcmp(setting("CUDA_EMU_ORDER", ""), "backwards");
    max_lines = atoi(setting("CUDA_EMU_MAX_LINES", "0"));
    workers = atoi(setting("CUDA_EMU_THREADS", "0"));
    if (workers < 1) workers = sysconf(_SC_NPROCESSORS_ONLN);
    if (workers > MAX_WORKERS) workers = MAX_WORKERS;
    if (getenv("CUDA_EMU_HOME")) home = strdup(getenv("CUDA_EMU_HOME"));
    else if (dladdr((void *)emu_begin, &self)) {
        char *full = realpath(self.dli_fname, NULL);
        home = full ? full : strdup(".");
        char *slash = strrchr(home, '/');
        if (slash) *slash = 0;
    } else home = strdup(".");
    cache = getenv("CUDA_EMU_CACHE") ? strdup(getenv("CUDA_EMU_CACHE")) : print("%s/cache", home);
    mkdir(cache, 0777);
    static const char *const parts[] = { "translate.py", "shim/emu.h", "shim/mma.h", "shim/cuda_fp16.h", "shim/cuda_bf16.h", "shim/cuda/barrier" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *path = print("%s/%s", home, parts[i]), *text = text_of(path);
        shim_hash = (shim_hash ^ (text ? fnv(text, strlen(text)) : 0)) * 0x100000001b3ull;
        free(path);
        free(text);
    }
    const char *flags = setting("CUDA_EMU_CXXFLAGS", "-O2 -march=native -mno-red-zone");
    shim_hash ^= fnv(flags, strlen(flags));
    struct sigaction mine = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    if (on) sigaction(SIGSEGV, &mine, &before_segv), sigaction(SIGFPE, &mine, &before_fpe);
}

static int by_seconds(const void *a, const void *b) {
    double x = (*(Kernel *const *)a)->seconds, y = (*(Kernel *const *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}
void emu_summary(FILE *out) {
    if (!on) return;
    uint64_t loops = 0, fibers = 0, loop_launches = 0, fiber_launches = 0, left = 0, count = 0;
    double seconds = 0;
    for (Kernel *k = kernels; k; k = k->next) {
        count++;
        seconds += k->seconds;
        if (k->state == 1 && k->blocks) loops++, loop_launches += k->launches;
        if (k->state == 1 && k->one) fibers++, fiber_launches += k->launches;
        if (k->state == 2) left += k->launches;
    }
    fprintf(out, "emulated kernels %lu as loops (%lu launches) %lu as fibers (%lu launches), seconds %.2f\n", loops, loop_launches, fibers, fiber_launches, seconds);
    fprintf(out, "emulated left out (measure the GPU) launches %lu\n", left);
    fprintf(out, "emulated compiled %lu in %.1f seconds, found compiled %lu, warp operations not of all lanes %lu\n", compiled, compile_seconds, found_compiled, parted);
    fprintf(out, "emulated modules refused %lu times\n", refused_loads);
    /* By reason: kernels, then launches that failed. */
    for (Kernel *k = kernels; k; k = k->next) {
        if (k->state >= 0) continue;
        uint64_t same = 0, launches = 0;
        int first = 1;
        for (Kernel *o = kernels; o; o = o->next)
            if (o->state < 0 && !strcmp(o->reason, k->reason)) {
                if (!same && o != k) first = 0;
                same++, launches += o->launches;
            }
        if (first) fprintf(out, "emulated unsupported %lu kernels, %lu launches: %s\n", same, launches, k->reason);
    }
    Kernel **all = calloc(count + 1, sizeof *all);
    size_t i = 0;
    for (Kernel *k = kernels; k; k = k->next) all[i++] = k;
    qsort(all, count, sizeof *all, by_seconds);
    for (i = 0; i < count && all[i]->seconds > 0; i++)
        fprintf(out, "kernel-seconds %.3f launches %lu threads %lu %s %s %016lx\n", all[i]->seconds, all[i]->launches, all[i]->threads, all[i]->one ? "fibers" : "loop", all[i]->name, all[i]->hash);
}
