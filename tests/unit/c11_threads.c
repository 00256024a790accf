/*
 * c11_threads.c - C11 threads made of POSIX ones, for ThreadSanitizer.
 *
 * librdkafka's threads are those of <threads.h>. ThreadSanitizer knows only POSIX ones:
 * it crashes in a thread that it did not see begin, and takes what a C11 mutex keeps
 * apart for a race. So in its builds all programs have these functions, which are found
 * before glibc's. glibc's types are its POSIX types under other names. Other
 * builds leave this file empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "threads are POSIX threads");
_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mutex has room for one");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition has room for one");

#ifdef UNDER_TSAN

/* librdkafka counts references with atomics that were not compiled under the sanitizer:
 * what it frees or destroys by them is its own affair. Our own calls and callbacks are
 * watched as everywhere. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librdkafka.so\n";
}

struct begin {
    thrd_start_t run;
    void *arg;
};

static void *run(void *arg)
{
    struct begin b = *(struct begin *)arg;
    free(arg);
    return (void *)(intptr_t)b.run(b.arg);
}

static int result(int rc)
{
    return rc == 0 ? thrd_success : rc == ENOMEM ? thrd_nomem : thrd_error;
}

int thrd_create(thrd_t *t, thrd_start_t fn, void *arg)
{
    struct begin *b = malloc(sizeof *b);
    if (!b)
        return thrd_nomem;
    *b = (struct begin){fn, arg};
    int rc = pthread_create(t, NULL, run, b);
    if (rc != 0)
        free(b);
    return result(rc);
}

int thrd_join(thrd_t t, int *out)
{
    void *value = NULL;
    int rc = pthread_join(t, &value);
    if (rc == 0 && out)
        *out = (int)(intptr_t)value;
    return result(rc);
}

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    int rc = pthread_mutex_init((pthread_mutex_t *)m, &a);
    pthread_mutexattr_destroy(&a);
    return result(rc);
}

void mtx_destroy(mtx_t *m)
{
    pthread_mutex_destroy((pthread_mutex_t *)m);
}

int mtx_lock(mtx_t *m)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)m));
}

int mtx_unlock(mtx_t *m)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)m));
}

int cnd_init(cnd_t *c)
{
    return result(pthread_cond_init((pthread_cond_t *)c, NULL));
}

void cnd_destroy(cnd_t *c)
{
    pthread_cond_destroy((pthread_cond_t *)c);
}

int cnd_signal(cnd_t *c)
{
    return result(pthread_cond_signal((pthread_cond_t *)c));
}

int cnd_broadcast(cnd_t *c)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)c));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
    return result(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m,
                  const struct timespec *restrict until)
{
    int rc = pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until);
    return rc == ETIMEDOUT ? thrd_timedout : result(rc);
}

#endif
