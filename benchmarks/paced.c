/* paced.c: a load client that asks at a fixed rate, whatever the server does, and counts what fails.
 *
 * One thread and one epoll set drive N keep-alive connections to an HTTP server on 127.0.0.1.  Request k is due at start + k / RATE
 * and its latency counts from there (open loop), so waiting for a slow server is part of it.  A connection that the server ends
 * between two requests, or announces to end (Connection: close), is opened again for the next request: that is no failure.  No
 * answer, a broken one or a wrong one is a failed request; the run goes on.
 */
#define _GNU_SOURCE
#include "client.h"

#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 4000,
    MAX_SECONDS = 600,
    ANSWER_SECONDS = 10, /* an answer that takes longer is none */
    GRACE_SECONDS = 30,  /* the alarm, beyond the length of the run */
    LOOK_MICROSECONDS = 10000, /* at standard input and for late answers */
    ROOM = 4096,         /* for an answer */
};

static const char USAGE[] =
    "usage: paced PORT [options]\n"
    "\n"
    "  -r, --rate N         requests a second (default 1000)\n"
    "  -c, --connections N  connections (default 64, at most 4000)\n"
    "  -t, --seconds N      length of the run (default 2, at most 600)\n"
    "  -p, --path PATH      asked for with GET (default /)\n"
    "  -e, --expect BODY    body that must be answered, with a status of 2xx (default empty)\n"
    "\n"
    "Each byte on standard input ends a phase, and so does the end of the run.  Prints one line of JSON a phase: count (of\n"
    "right answers), failed, reason (of the last failure), opened (connections), seconds, p50_us, p99_us, max_us.\n"
    "Exit status 1: the client itself could not go on.\n";

struct connection {
    int fd; /* -1: it is opened with its next request */
    bool connected, busy;
    uint64_t due; /* when its request should have left */
    size_t used;
    char answer[ROOM + 1];
};

/* What happened since the last line of output. */
struct phase {
    uint64_t start, failed, opened;
    const char *reason; /* of the last failure */
    struct latencies latencies;
};

static struct {
    int port;
    double rate, seconds;
    uint32_t connections;
    const char *path, *expect;
} options = {.rate = 1000, .seconds = 2, .connections = 64, .path = "/", .expect = ""};

static struct connection *connections, **waiting; /* a ring of those without a request: each has its turn */
static uint32_t idle, first_idle;
static int epoll;
static char request[2048];
static size_t request_length;
static struct phase phase;

/* -- one connection ------------------------------------------------------------------------------------------------ */

static void hang_up(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    c->connected = false;
}

static void rest(struct connection *c)
{
    c->busy = false;
    c->used = 0;
    waiting[(first_idle + idle++) % options.connections] = c;
}

static void fail(struct connection *c, const char *reason)
{
    phase.failed++;
    phase.reason = reason;
    hang_up(c);
    rest(c);
}

static void ask(struct connection *c)
{
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        fail(c, strerror(errno));
}

static void dial(struct connection *c)
{
    struct sockaddr_in to = loopback(0, options.port);
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    phase.opened++;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        fail(c, strerror(errno));
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void start_next(uint64_t due)
{
    struct connection *c = waiting[first_idle];
    first_idle = (first_idle + 1) % options.connections;
    idle--;
    c->busy = true;
    c->due = due;
    if (c->fd < 0)
        dial(c);
    else
        ask(c);
}

static void take_answer(struct connection *c, size_t whole)
{
    const char *end = head_end(c->answer, c->used), *value = header(c->answer, end, "connection");
    note_latency(&phase.latencies, microseconds() - c->due);
    if (c->used > whole)
        die("there is more than one answer");
    if (value && !strncasecmp(value, "close", 5))
        hang_up(c);
    rest(c);
}

/* Bytes came, or the end. */
static void hear(struct connection *c)
{
    bool more = true;
    while (c->fd >= 0 && more) {
        size_t space = ROOM - c->used;
        ssize_t got = recv(c->fd, c->answer + c->used, space, 0);
        more = got == (ssize_t)space; /* else there is no more now, and what comes later is told */
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 && !c->busy) {
            hang_up(c);
            return;
        }
        if (got <= 0) {
            fail(c, got < 0 ? strerror(errno) : c->used ? "the connection ended within an answer" : "the connection ended without an answer");
            return;
        }
        if (!c->busy)
            die("an answer without a request");
        const char *wrong = NULL;
        c->used += (size_t)got;
        c->answer[c->used] = '\0';
        size_t whole = expected_answer(c->answer, c->used, options.expect, &wrong);
        if (!whole && c->used == ROOM)
            wrong = "an answer is too long";
        if (wrong)
            fail(c, wrong);
        else if (whole)
            take_answer(c, whole);
    }
}

static void advance(struct connection *c)
{
    if (!c->connected) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            fail(c, strerror(error));
            return;
        }
        c->connected = true;
        ask(c);
    }
    hear(c);
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

static void turn(uint64_t wait)
{
    struct epoll_event events[256];
    struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000), .tv_nsec = (long)(wait % 1000000) * 1000};
    int ready = epoll_pwait2(epoll, events, 256, &timeout, NULL);
    for (int i = 0; i < ready; i++)
        advance(events[i].data.ptr);
}

static void give_up_late(uint64_t now)
{
    for (uint32_t i = 0; i < options.connections; i++)
        if (connections[i].busy && now - connections[i].due > ANSWER_SECONDS * 1000000ull)
            fail(&connections[i], "no answer in 10 s");
}

static void end_phase(uint64_t now)
{
    const struct latencies *all = &phase.latencies;
    printf("{\"count\": %llu, \"failed\": %llu, \"reason\": \"%s\", \"opened\": %llu, \"seconds\": %.4f, ", (unsigned long long)all->count,
           (unsigned long long)phase.failed, phase.reason ? phase.reason : "", (unsigned long long)phase.opened, (double)(now - phase.start) / 1e6);
    printf("\"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu}\n", (unsigned long long)percentile(all, 0.5),
           (unsigned long long)percentile(all, 0.99), (unsigned long long)all->longest);
    fflush(stdout);
    memset(&phase, 0, sizeof phase);
    phase.start = now;
}

/* When this request should leave. */
static uint64_t due(uint64_t begin, uint64_t asked)
{
    return begin + (uint64_t)((double)asked * 1e6 / options.rate);
}

static void measure(void)
{
    uint64_t begin = microseconds(), now = begin, end = begin + (uint64_t)(options.seconds * 1e6), next_look = begin, asked = 0;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    phase.start = begin;
    while (now < end || idle < options.connections) { /* at the end wait for the answers under way */
        uint64_t next = now < end && idle ? due(begin, asked) : UINT64_MAX;
        turn(next <= now ? 0 : next - now < LOOK_MICROSECONDS ? next - now : LOOK_MICROSECONDS);
        now = microseconds();
        if (now < end && idle && due(begin, asked) <= now)
            start_next(due(begin, asked++)); /* behind a turn, so that what the server ended is seen before it is used */
        if (now >= next_look) {
            next_look = now + LOOK_MICROSECONDS;
            give_up_late(now);
            if (poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 1)
                end_phase(now);
        }
    }
    end_phase(now);
}

/* -- start --------------------------------------------------------------------------------------------------------- */

static void read_options(int argc, char **argv)
{
    static const struct option LONG[] = {
        {"rate", required_argument, 0, 'r'}, {"connections", required_argument, 0, 'c'}, {"seconds", required_argument, 0, 't'},
        {"path", required_argument, 0, 'p'}, {"expect", required_argument, 0, 'e'},      {"help", no_argument, 0, 'h'},
        {0, 0, 0, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "r:c:t:p:e:h", LONG, NULL)) != -1;) {
        switch (option) {
        case 'r': options.rate = number(optarg, 1, 1e6, "--rate"); break;
        case 'c': options.connections = (uint32_t)number(optarg, 1, MAX_CONNECTIONS, "--connections"); break;
        case 't': options.seconds = number(optarg, 0, MAX_SECONDS, "--seconds"); break;
        case 'p': options.path = optarg; break;
        case 'e': options.expect = optarg; break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: exit(2);
        }
    }
    if (argc - optind != 1)
        wrong_use("PORT is needed");
    options.port = (int)number(argv[optind], 1, 65535, "PORT");
    request_length = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", options.path, options.port);
    if (request_length >= sizeof request)
        wrong_use("--path is too long");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    alarm((unsigned)options.seconds + GRACE_SECONDS);
    allow_files();
    connections = room(options.connections, sizeof *connections);
    waiting = room(options.connections, sizeof *waiting);
    epoll = epoll_create1(0);
    for (uint32_t i = 0; i < options.connections; i++) {
        connections[i].fd = -1;
        rest(&connections[i]);
    }
    measure();
    return 0;
}
