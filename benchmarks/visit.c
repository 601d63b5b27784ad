/* visit.c: a load client that comes and goes: connections to an HTTP server on 127.0.0.1, with TLS or without.
 *
 * One thread and one epoll set keep N visits going.  A visit connects, shakes hands where there is TLS (never resuming a session),
 * asks once, compares the answer byte for byte and leaves; the next one begins at once (closed loop).  With --mixed three of four
 * visits are rude: they leave in the middle.  With --hold nobody leaves.  A wrong answer ends the run; so does an alarm.
 */
#define _GNU_SOURCE
#include "client.h"

#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 15000,
    MAX_SECONDS = 600,
    OPENING_AT_ONCE = 64, /* of --hold: unfinished visits, so that a short accept queue does not overflow */
    GRACE_SECONDS = 10,   /* for the visits under way when the time is over */
    ADDRESSES = 200,      /* so that connections which just ended do not use up the ports of one */
    ROOM = 4096,          /* for an answer */
};

static const char USAGE[] =
    "usage: visit PORT [options]\n"
    "\n"
    "  -c, --connections N  visits at the same time (default 64, at most 15000)\n"
    "  -t, --seconds N      length of the run (default 2, at most 600)\n"
    "  -n, --visits N       end after this many visits, if that comes first\n"
    "  -p, --path PATH      asked for with GET (default /)\n"
    "  -e, --expect BODY    body that must be answered, with a status of 2xx (default empty)\n"
    "      --tls            TLS, any certificate, no resumption\n"
    "      --mixed          by turns: a whole visit; one reset before the answer is read; one that says nothing;\n"
    "                       one reset in the middle of its TLS handshake or of its request\n"
    "      --hold           no visit ends: print 'held N' when all were answered, then keep them idle\n"
    "                       until standard input ends or the seconds are over\n"
    "\n"
    "Prints one line of JSON: count (of visits), seconds, p50_us, p99_us and max_us (of whole visits, from connect to the\n"
    "end of the answer), load (CPU time of this client a second).  Exit status 1: a wrong answer, or none.\n";

enum manner { WHOLE, UNREAD, SILENT, HALF, MANNERS };
enum stage { ABSENT, CONNECTING, GREETING, ASKING, READING, IDLE };

struct visit {
    int fd;
    enum stage stage;
    enum manner manner;
    SSL *ssl;
    uint64_t started;
    size_t used;
    char answer[ROOM + 1];
};

static struct {
    int port;
    uint32_t connections;
    double seconds;
    uint64_t visits;
    const char *path, *expect;
    bool tls, mixed, hold;
} options = {.connections = 64, .seconds = 2, .visits = UINT64_MAX, .path = "/", .expect = ""};

static struct visit *visits;
static int epoll;
static SSL_CTX *context;
static char request[2048];
static size_t request_length;
static uint64_t begun, ended, held;
static bool over; /* no more visits begin */
static struct latencies latencies;

/* -- one visit ----------------------------------------------------------------------------------------------------- */

static void begin(struct visit *v)
{
    struct sockaddr_in from = loopback(1 + begun % ADDRESSES, 0), to = loopback(0, options.port);
    int yes = 1;
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (v->fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes); /* the port is chosen at connect, so more fit */
    setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (bind(v->fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind: %s", strerror(errno));
    v->manner = options.mixed ? begun % MANNERS : WHOLE;
    v->stage = CONNECTING;
    v->started = microseconds();
    v->used = 0;
    begun++;
    if (connect(v->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = v};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, v->fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void leave(struct visit *v, bool reset)
{
    if (v->ssl) {
        if (!reset)
            SSL_shutdown(v->ssl);
        SSL_free(v->ssl);
        v->ssl = NULL;
    }
    ERR_clear_error();
    if (reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        setsockopt(v->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(v->fd);
    v->stage = ABSENT;
    ended++;
    if (!over && begun < options.visits)
        begin(v);
}

static void check_connected(struct visit *v)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        die("connect: %s", strerror(error));
}

/* What an operation of OpenSSL gave: > 0, or 0 when it must be done again later. */
static int outcome(struct visit *v, int result, const char *doing)
{
    int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(v->ssl, result);
    if (error == SSL_ERROR_NONE)
        return result;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        die("%s: %s", doing, ERR_get_error() ? ERR_error_string(ERR_peek_last_error(), NULL) : "the server closed the connection");
    return 0;
}

/* Whether the TLS handshake is over. */
static bool greet(struct visit *v)
{
    if (!v->ssl) {
        v->ssl = SSL_new(context);
        if (!v->ssl || !SSL_set_fd(v->ssl, v->fd))
            die("OpenSSL has no memory");
        SSL_set_connect_state(v->ssl);
    }
    return outcome(v, SSL_do_handshake(v->ssl), "handshake") > 0;
}

static void say(struct visit *v, size_t length)
{
    ssize_t done = v->ssl ? outcome(v, SSL_write(v->ssl, request, (int)length), "write") : send(v->fd, request, length, MSG_NOSIGNAL);
    if (done != (ssize_t)length)
        die("a request could not be sent: %s", strerror(errno));
}

/* Bytes received, or 0 when there are none now. */
static size_t hear(struct visit *v)
{
    char *to = v->answer + v->used;
    int left = (int)(ROOM - v->used);
    if (left == 0)
        die("an answer longer than %d bytes", ROOM);
    if (v->ssl)
        return (size_t)outcome(v, SSL_read(v->ssl, to, left), "read");
    ssize_t got = recv(v->fd, to, (size_t)left, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        die("read: %s", got ? strerror(errno) : "the server closed the connection");
    return got < 0 ? 0 : (size_t)got;
}

/* Whether the whole answer is here. */
static bool read_answer(struct visit *v)
{
    for (size_t got; (got = hear(v)); ) {
        const char *wrong = NULL;
        v->used += got;
        v->answer[v->used] = '\0';
        size_t whole = expected_answer(v->answer, v->used, options.expect, &wrong);
        if (whole && !wrong && v->used > whole)
            wrong = "there is more than one answer";
        if (wrong)
            die("%s: '%.200s'", wrong, v->answer);
        if (whole)
            return true;
    }
    return false;
}

/* Go on as far as it goes without waiting. */
static void advance(struct visit *v)
{
    if (v->stage == CONNECTING) {
        check_connected(v);
        v->stage = options.tls ? GREETING : ASKING;
        if (v->manner == SILENT) {
            leave(v, false);
            return;
        }
    }
    if (v->stage == GREETING) {
        if (greet(v)) {
            v->stage = ASKING;
        } else {
            if (v->manner == HALF)
                leave(v, true);
            return;
        }
    }
    if (v->stage == ASKING) {
        say(v, v->manner == HALF ? request_length / 2 : request_length);
        v->stage = READING;
        if (v->manner != WHOLE) {
            leave(v, true);
            return;
        }
    }
    if (v->stage == READING && read_answer(v)) {
        note_latency(&latencies, microseconds() - v->started);
        if (options.hold) {
            v->stage = IDLE;
            v->used = 0;
            held++;
        } else {
            leave(v, false);
            return;
        }
    }
    if (v->stage == IDLE && hear(v)) /* OpenSSL takes session tickets without telling */
        die("something came on an idle connection");
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

static void turn(int milliseconds)
{
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, 256, milliseconds);
    for (int i = 0; i < ready; i++)
        advance(events[i].data.ptr);
}

static void hold(uint64_t end)
{
    for (uint32_t i = 0; i < options.connections; i++) {
        begin(&visits[i]);
        while (begun - held > OPENING_AT_ONCE)
            turn(100);
    }
    while (held < options.connections)
        turn(100);
    printf("held %llu\n", (unsigned long long)held);
    fflush(stdout);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (microseconds() < end && poll(&input, 1, 0) == 0)
        turn(100);
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void come_and_go(uint64_t start, uint64_t end)
{
    double cpu = cpu_seconds();
    for (uint32_t i = 0; i < options.connections && begun < options.visits; i++)
        begin(&visits[i]);
    uint64_t now = start;
    while (now < end && ended < options.visits) {
        turn(20);
        now = microseconds();
    }
    uint64_t count = ended;
    double seconds = (double)(now - start) / 1e6, load = (cpu_seconds() - cpu) / seconds;
    over = true;
    while (ended < begun) /* those under way are finished, so that no server has to complain; the alarm bounds this */
        turn(20);
    if (!latencies.count)
        die("no answer in %.0f s", options.seconds);
    printf("{\"count\": %llu, \"seconds\": %.4f, \"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu, \"load\": %.3f}\n",
           (unsigned long long)count, seconds, (unsigned long long)percentile(&latencies, 0.5),
           (unsigned long long)percentile(&latencies, 0.99), (unsigned long long)latencies.longest, load);
}

/* -- start --------------------------------------------------------------------------------------------------------- */

static void read_options(int argc, char **argv)
{
    static const struct option LONG[] = {
        {"connections", required_argument, 0, 'c'}, {"seconds", required_argument, 0, 't'}, {"visits", required_argument, 0, 'n'},
        {"path", required_argument, 0, 'p'},        {"expect", required_argument, 0, 'e'},  {"tls", no_argument, 0, 'S'},
        {"mixed", no_argument, 0, 'M'},             {"hold", no_argument, 0, 'H'},          {"help", no_argument, 0, 'h'},
        {0, 0, 0, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:t:n:p:e:h", LONG, NULL)) != -1;) {
        switch (option) {
        case 'c': options.connections = (uint32_t)number(optarg, 1, MAX_CONNECTIONS, "--connections"); break;
        case 't': options.seconds = number(optarg, 0, MAX_SECONDS, "--seconds"); break;
        case 'n': options.visits = (uint64_t)number(optarg, 1, 1e9, "--visits"); break;
        case 'p': options.path = optarg; break;
        case 'e': options.expect = optarg; break;
        case 'S': options.tls = true; break;
        case 'M': options.mixed = true; break;
        case 'H': options.hold = true; break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: exit(2);
        }
    }
    if (argc - optind != 1)
        wrong_use("PORT is needed");
    if (options.mixed && options.hold)
        wrong_use("--mixed and --hold exclude each other");
    options.port = (int)number(argv[optind], 1, 65535, "PORT");
    request_length = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", options.path, options.port);
    if (request_length >= sizeof request)
        wrong_use("--path is too long");
}

static void prepare_tls(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        die("OpenSSL has no memory");
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    alarm((unsigned)options.seconds + GRACE_SECONDS);
    allow_files();
    if (options.tls)
        prepare_tls();
    visits = room(options.connections, sizeof *visits);
    epoll = epoll_create1(0);
    uint64_t start = microseconds(), end = start + (uint64_t)(options.seconds * 1e6);
    if (options.hold)
        hold(end);
    else
        come_and_go(start, end);
    return 0;
}
