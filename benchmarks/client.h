/* client.h: what the load clients share: errors, memory, time, latencies, options, HTTP answers. */
#ifndef CLIENT_H
#define CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

enum {
    CONNECTIONS_AN_ADDRESS = 4000, /* of 127.0.0.2, 127.0.0.3, ... */
    BUCKET_MICROSECONDS = 5,
    BUCKETS = 400000, /* of a histogram of latencies: 2 seconds */
};

/* Latencies in microseconds, counted by BUCKET_MICROSECONDS. */
struct latencies {
    uint64_t count, longest;
    uint32_t buckets[BUCKETS];
};

static inline void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static inline void die(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(1);
}

static inline void *room(size_t items, size_t size)
{
    void *memory = calloc(items, size);
    if (!memory)
        die("out of memory");
    return memory;
}

static inline uint64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline void note_latency(struct latencies *all, uint64_t latency)
{
    all->count++;
    if (latency > all->longest)
        all->longest = latency;
    latency /= BUCKET_MICROSECONDS;
    all->buckets[latency < BUCKETS ? latency : BUCKETS - 1]++;
}

/* The latency in microseconds that this part of all answers did not exceed. */
static inline uint64_t percentile(const struct latencies *all, double part)
{
    uint64_t seen = 0;
    for (uint64_t i = 0; i < BUCKETS; i++) {
        seen += all->buckets[i];
        if ((double)seen >= part * (double)all->count)
            return i * BUCKET_MICROSECONDS;
    }
    return (uint64_t)BUCKETS * BUCKET_MICROSECONDS;
}

/* As many descriptors as this user may have. */
static inline void allow_files(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

static inline struct sockaddr_in loopback(uint32_t beyond, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + beyond);
    return address;
}

/* -- options ------------------------------------------------------------------------------------------------------- */

static inline void wrong_use(const char *text)
{
    fprintf(stderr, "load: %s (see --help)\n", text);
    exit(2);
}

static inline double number(const char *text, double least, double most, const char *name)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= least && value <= most)) {
        char sentence[200];
        snprintf(sentence, sizeof sentence, "%s must be from %.0f to %.0f, not '%.60s'", name, least, most, text);
        wrong_use(sentence);
    }
    return value;
}

/* -- HTTP answers -------------------------------------------------------------------------------------------------- */

/* The end of the head (behind its empty line), or NULL when it is not complete. */
static inline const char *head_end(const char *data, size_t length)
{
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    return end ? end + 4 : NULL;
}

/* The value of a header, from behind the colon and blanks; NULL when it is not there. */
static inline const char *header(const char *data, const char *end, const char *name)
{
    size_t name_length = strlen(name);
    for (const char *line = data; (line = memchr(line, '\n', (size_t)(end - line))); ) {
        line++;
        if ((size_t)(end - line) > name_length && !strncasecmp(line, name, name_length) && line[name_length] == ':')
            return line + name_length + 1 + strspn(line + name_length + 1, " ");
    }
    return NULL;
}

/* How long a complete answer (of NUL-terminated data) is that has this body and a status of 2xx; 0 when it is not complete.
 * `*wrong` becomes a sentence when it is another answer. */
static inline size_t expected_answer(const char *data, size_t length, const char *body, const char **wrong)
{
    const char *end = head_end(data, length);
    if (!end)
        return 0;
    const char *value = header(data, end, "content-length");
    size_t body_length = strlen(body);
    if (strncmp(data, "HTTP/1.1 2", 10))
        *wrong = "an answer has not the status 2xx";
    else if (!value || strtoul(value, NULL, 10) != body_length)
        *wrong = "an answer has not the expected length";
    else if (length < (size_t)(end - data) + body_length)
        return 0;
    else if (memcmp(end, body, body_length))
        *wrong = "an answer has not the expected body";
    return (size_t)(end - data) + body_length;
}

#endif
