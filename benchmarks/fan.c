/* fan.c: a load client for servers that send one message to many WebSocket connections.
 *
 * One thread and one epoll set drive N connections, with TLS or without.  Three things can be done with them: broadcasts, where what
 * one connection sends must reach all of them; pushes, where it must reach one other; and holding them idle.  Every message carries
 * its number, and every delivery is compared byte for byte with what is due on its connection, so a server that loses, doubles or
 * reorders anything ends the run instead of winning it.  An alarm ends the process if the server stops answering.
 */
#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 16000,
    MAX_DEPTH = 64,
    MAX_SECONDS = 900,
    MIN_SIZE = 8, /* a number of eight digits */
    MAX_SIZE = 16000,
    MAX_PATH = 200,
    OPENING_AT_ONCE = 64, /* unfinished handshakes, so that a short accept queue does not overflow */
    OPENING_SECONDS = 150, /* for all connections together */
    SETTLE_SECONDS = 10,  /* until a message reaches all connections for the first time */
    SETTLE_MICROSECONDS = 1000000, /* for each attempt */
    PUSH_SECONDS = 5,     /* a push that takes longer is lost */
    WARM_PUSHES = 200,    /* of each kind, not counted */
    PROCESS_SHIFT = 31,   /* the bits of a connection's id above it tell its process */
    ROOM = 65536,         /* for what is received at once, and for a message on its way out */
};

static const char USAGE[] =
    "usage: fan broadcast|push|hold PORT [options]\n"
    "\n"
    "  broadcast  what the first connection sends must come to all of them; a new one leaves as soon as an earlier one came to all\n"
    "  push       the server must answer 'who' with the connection's id, whose bits from 31 on tell its process, and send TEXT to\n"
    "             that connection when it gets 'push ID TEXT'; by turns to one of the same process and to one of another\n"
    "  hold       open the connections, print 'held N', then keep them, answering pings, until standard input ends.  Each byte\n"
    "             there is an order: 'b' sends one broadcast, 'l' prints a line of JSON: open, ended (connections), pings, heard\n"
    "             (deliveries), sent_us (when the last broadcast left), last_us (when the last delivery came); all so far\n"
    "\n"
    "  -c, --connections N  connections (default 1000, at most 16000)\n"
    "  -d, --depth N        broadcasts in flight (default 1, at most 64)\n"
    "  -t, --seconds N      length of the run (default 2, at most 900)\n"
    "  -s, --size N         bytes of a message (default 64, 8 to 16000)\n"
    "  -p, --path PATH      of the WebSocket (default /)\n"
    "      --tls            TLS, any certificate\n"
    "\n"
    "Connections go to 127.0.0.1 and come from 127.0.0.2, 127.0.0.3, ..., 4000 from each.\n"
    "broadcast prints one line of JSON: count (deliveries), seconds, p50_us, p99_us, max_us (from the sending of a message to its\n"
    "last delivery).  push prints: count, local_p50_us, local_p99_us, remote_p50_us, remote_p99_us (from the sending to the arrival).\n"
    "Exit status 1: a wrong or missing message.\n";

static const char WEBSOCKET_KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char WEBSOCKET_ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* what that key must be answered with */
static const unsigned char MASK[4] = {0x12, 0x9a, 0x56, 0xde};

enum stage { GREETING, SHAKING, OPEN, ENDED };

struct connection {
    int fd;
    uint32_t index;
    enum stage stage; /* the handshakes of TLS and of the WebSocket, then messages */
    uint32_t next;    /* number of the message that is due */
    SSL *ssl;
    char *kept; /* the beginning of a frame whose rest is to come */
    size_t kept_used;
    uint64_t id; /* as the server tells it; 0: not asked */
};

/* A broadcast on its way. */
struct flight {
    uint64_t started;
    uint32_t heard;
};

static struct {
    enum { BROADCAST, PUSH, HOLD } mode;
    int port;
    uint32_t connections, depth;
    double seconds;
    size_t size;
    const char *path;
    bool tls;
} options = {.connections = 1000, .depth = 1, .seconds = 2, .size = 64, .path = "/"};

static struct connection *connections;
static int epoll;
static SSL_CTX *context;
static char padding[MAX_SIZE];
static uint32_t opened, ended;
static bool settling; /* messages may be missing: connections become members a moment after they opened, and others send as well */
static bool running;  /* a broadcast that came to all is followed by the next */
static struct flight flights[MAX_DEPTH];
static uint32_t sent; /* broadcasts or pushes: the number of the next */
static uint64_t deliveries, pings, last_sent, last_heard;
static struct latencies latencies[2]; /* of broadcasts; of pushes to the same process and to another */

/* -- bytes in and out ---------------------------------------------------------------------------------------------- */

/* What an operation of OpenSSL gave: > 0, 0 when it must be done again later, -1 at the end of the connection. */
static int outcome(struct connection *c, int result)
{
    int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_NONE)
        return result;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static void end(struct connection *c, const char *why)
{
    if (options.mode != HOLD)
        die("connection %u: %s", c->index, why);
    if (c->stage != OPEN)
        die("connection %u was not opened: %s", c->index, why);
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    c->stage = ENDED;
    ended++;
}

/* Everything at once: what waits unread for a server is never more than its kernel takes. */
static void give(struct connection *c, const char *data, size_t length)
{
    ssize_t done = c->ssl ? outcome(c, SSL_write(c->ssl, data, (int)length)) : send(c->fd, data, length, MSG_NOSIGNAL);
    if (done != (ssize_t)length)
        end(c, "the server does not read, or ended it");
}

/* Bytes received, 0 when there are none now, -1 at the end. */
static ssize_t take(struct connection *c, char *to, size_t space)
{
    if (c->ssl)
        return outcome(c, SSL_read(c->ssl, to, (int)space));
    ssize_t got = recv(c->fd, to, space, 0);
    return got > 0 ? got : got < 0 && errno == EAGAIN ? 0 : -1;
}

static size_t put_frame(char *to, int opcode, const char *data, size_t length)
{
    char *at = to;
    *at++ = (char)(0x80 | opcode);
    if (length < 126) {
        *at++ = (char)(0x80 | length);
    } else {
        *at++ = (char)(0x80 | 126);
        *at++ = (char)(length >> 8);
        *at++ = (char)length;
    }
    memcpy(at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < length; i++)
        at[i] = (char)(data[i] ^ MASK[i & 3]);
    return (size_t)(at - to) + length;
}

static void say(struct connection *c, int opcode, const char *data, size_t length)
{
    char frame[ROOM];
    give(c, frame, put_frame(frame, opcode, data, length));
}

/* -- messages ------------------------------------------------------------------------------------------------------ */

static void put_message(uint32_t number, char *to)
{
    memcpy(to, padding, options.size);
    for (int i = 7; i >= 0; i--, number >>= 4)
        to[i] = "0123456789abcdef"[number & 15];
}

/* The number of a message, which must be one of ours. */
static uint32_t get_message(const struct connection *c, const char *data, size_t length)
{
    char digits[9] = {0}, expected[MAX_SIZE];
    memcpy(digits, data, length < 8 ? length : 8);
    uint32_t number = (uint32_t)strtoul(digits, NULL, 16);
    put_message(number, expected);
    if (length != options.size || memcmp(data, expected, length))
        die("connection %u: '%.*s' is not what was sent", c->index, (int)(length < 80 ? length : 80), data);
    return number;
}

static void broadcast(void)
{
    char message[MAX_SIZE];
    struct flight *flight = &flights[sent % options.depth];
    if (connections[0].stage != OPEN)
        die("the connection that sends has ended");
    put_message(sent++, message);
    flight->heard = 0;
    last_sent = flight->started = microseconds();
    say(&connections[0], 1, message, options.size);
}

static void heard_broadcast(struct connection *c, const char *data, size_t length)
{
    uint32_t number = get_message(c, data, length);
    if (settling ? number < c->next : number != c->next)
        die("connection %u: message %u came, %u was due", c->index, number, c->next);
    c->next = number + 1;
    deliveries++;
    last_heard = microseconds();
    if (options.mode == HOLD || sent - number > options.depth) /* an attempt while settling that was given up */
        return;
    struct flight *flight = &flights[number % options.depth];
    if (++flight->heard < options.connections)
        return;
    note_latency(&latencies[0], last_heard - flight->started);
    if (running)
        broadcast();
}

static void heard_push(struct connection *c, const char *data, size_t length)
{
    if (!c->id) {
        char digits[21] = {0};
        memcpy(digits, data, length < 20 ? length : 20);
        c->id = strtoull(digits, NULL, 10);
        if (!c->id)
            die("connection %u: 'who' was answered with '%s'", c->index, digits);
    } else if (get_message(c, data, length) != c->next) {
        die("connection %u: not the push that was due", c->index);
    }
    deliveries++;
    last_heard = microseconds();
}

/* -- what comes ---------------------------------------------------------------------------------------------------- */

/* Bytes that belong to one complete frame, which was dealt with; 0: there is none. */
static size_t frame(struct connection *c, const char *data, size_t length)
{
    if (length < 2)
        return 0;
    size_t head = 2, body = (unsigned char)data[1];
    if (body == 126) {
        if (length < 4)
            return 0;
        head = 4;
        body = (size_t)(unsigned char)data[2] << 8 | (unsigned char)data[3];
    }
    if (body > 126 && head == 2)
        die("connection %u: a masked or too long frame", c->index);
    if (length < head + body)
        return 0;
    switch ((unsigned char)data[0]) {
    case 0x81:
        (options.mode == PUSH ? heard_push : heard_broadcast)(c, data + head, body);
        break;
    case 0x88:
        end(c, "the server said goodbye");
        break;
    case 0x89:
        pings++;
        say(c, 10, data + head, body);
        break;
    default:
        die("connection %u: unexpected frame %02x", c->index, (unsigned char)data[0]);
    }
    return head + body;
}

static size_t handshake(struct connection *c, const char *data, size_t length)
{
    const char *behind = head_end(data, length);
    if (!behind)
        return 0;
    const char *accept = header(data, behind, "sec-websocket-accept");
    if (strncmp(data, "HTTP/1.1 101", 12) || !accept || strncmp(accept, WEBSOCKET_ACCEPT, strlen(WEBSOCKET_ACCEPT)))
        die("connection %u: the handshake was answered with '%.*s'", c->index, (int)strcspn(data, "\r\n"), data);
    c->stage = OPEN;
    opened++;
    return (size_t)(behind - data);
}

static void keep(struct connection *c, const char *data, size_t length)
{
    if (length > ROOM / 2)
        die("connection %u: a message of more than %d bytes", c->index, ROOM / 2);
    free(c->kept);
    c->kept = NULL;
    c->kept_used = length;
    if (length) {
        c->kept = room(length, 1);
        memcpy(c->kept, data, length);
    }
}

static void receive(struct connection *c)
{
    static char data[ROOM + 1];
    size_t used = c->kept_used, at = 0, whole;
    if (used)
        memcpy(data, c->kept, used);
    ssize_t got = take(c, data + used, ROOM - used);
    if (got < 0)
        end(c, "the server ended it");
    if (got <= 0)
        return;
    used += (size_t)got;
    data[used] = '\0'; /* so that string functions end */
    while (at < used && c->stage != ENDED && (whole = (c->stage == OPEN ? frame : handshake)(c, data + at, used - at)))
        at += whole;
    if (c->stage == ENDED)
        at = used;
    if (c->kept || at < used)
        keep(c, data + at, used - at);
}

/* -- connections --------------------------------------------------------------------------------------------------- */

static void ask_to_upgrade(struct connection *c)
{
    char request[512 + MAX_PATH];
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nOrigin: http%s://127.0.0.1:%d\r\n\r\n",
        options.path, options.port, WEBSOCKET_KEY, options.tls ? "s" : "", options.port);
    c->stage = SHAKING;
    give(c, request, (size_t)length);
}

static void greet(struct connection *c)
{
    int done = outcome(c, SSL_do_handshake(c->ssl));
    if (done < 0)
        die("connection %u: the TLS handshake failed", c->index);
    if (done)
        ask_to_upgrade(c);
}

static void ready(struct connection *c)
{
    if (c->stage == GREETING) {
        greet(c);
        return;
    }
    do
        receive(c);
    while (c->ssl && SSL_pending(c->ssl));
}

static void obey(void);

static void turn(int milliseconds)
{
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, milliseconds);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c)
            obey();
        else
            ready(c);
    }
}

static void watch(int fd, struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in from = loopback(1 + c->index / CONNECTIONS_AN_ADDRESS, 0), to = loopback(0, options.port);
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0)
        die("connection %u: socket: %s", c->index, strerror(errno));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes); /* the port is chosen at connect, so more fit */
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connection %u: connect: %s", c->index, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c->fd, c);
    if (options.tls) {
        c->ssl = SSL_new(context);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
            die("OpenSSL has no memory");
        SSL_set_connect_state(c->ssl);
        greet(c);
    } else {
        ask_to_upgrade(c);
    }
}

static void open_all(void)
{
    uint64_t deadline = microseconds() + OPENING_SECONDS * 1000000ull;
    for (uint32_t i = 0; i < options.connections; i++) {
        connections[i].index = i;
        open_connection(&connections[i]);
        bool last = i + 1 == options.connections;
        do {
            turn(last || i + 1 - opened > OPENING_AT_ONCE ? 100 : 0);
            if (microseconds() > deadline)
                die("only %u of %u connections opened in %d s", opened, options.connections, OPENING_SECONDS);
        } while (last ? opened <= i : i + 1 - opened > OPENING_AT_ONCE);
    }
}

/* -- broadcasts ---------------------------------------------------------------------------------------------------- */

static bool in_flight(void)
{
    for (uint32_t i = 0; i < options.depth && i < sent; i++)
        if (flights[(sent - 1 - i) % options.depth].heard < options.connections)
            return true;
    return false;
}

static void no_broadcast(void)
{
    die("message %u came to %u of %u connections", sent - 1, flights[(sent - 1) % options.depth].heard, options.connections);
}

/* Until a message came to all. */
static void settle(void)
{
    uint64_t deadline = microseconds() + SETTLE_SECONDS * 1000000ull;
    settling = true;
    do {
        if (microseconds() > deadline)
            no_broadcast();
        for (uint32_t i = 0; i < options.depth; i++)
            flights[i].heard = options.connections;
        broadcast();
        while (in_flight() && microseconds() < last_sent + SETTLE_MICROSECONDS)
            turn(20);
    } while (in_flight());
    settling = false;
}

static void measure_broadcasts(void)
{
    settle();
    deliveries = 0;
    memset(&latencies[0], 0, sizeof latencies[0]);
    uint64_t start = microseconds(), stop = start + (uint64_t)(options.seconds * 1e6), now = start;
    running = true;
    for (uint32_t d = 0; d < options.depth; d++)
        broadcast();
    while (now < stop) {
        turn(0); /* it never sleeps: to wake it would cost each send of the server more than the send itself, where the machine is virtual */
        now = microseconds();
    }
    running = false;
    uint64_t count = deliveries;
    while (in_flight()) { /* so that nobody has to send to connections that ended */
        turn(20);
        if (microseconds() > now + SETTLE_SECONDS * 1000000ull)
            no_broadcast();
    }
    printf("{\"count\": %llu, \"seconds\": %.4f, \"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu}\n", (unsigned long long)count,
           (double)(now - start) / 1e6, (unsigned long long)percentile(&latencies[0], 0.5),
           (unsigned long long)percentile(&latencies[0], 0.99), (unsigned long long)latencies[0].longest);
}

/* -- pushes -------------------------------------------------------------------------------------------------------- */

static void await(uint64_t wanted, const char *what)
{
    uint64_t deadline = microseconds() + PUSH_SECONDS * 1000000ull;
    while (deliveries < wanted) {
        turn(20);
        if (microseconds() > deadline)
            die("%s did not come in %d s", what, PUSH_SECONDS);
    }
}

/* A connection of the same process as the first one, or of another. */
static struct connection *partner(bool same)
{
    for (uint32_t i = 1; i < options.connections; i++)
        if ((connections[i].id >> PROCESS_SHIFT == connections[0].id >> PROCESS_SHIFT) == same)
            return &connections[i];
    die("all %u connections are of %s", options.connections, same ? "different processes" : "one process");
}

/* How long it took. */
static uint64_t push(struct connection *to)
{
    char order[MAX_SIZE + 64];
    int head = snprintf(order, sizeof order, "push %llu ", (unsigned long long)to->id);
    to->next = sent;
    put_message(sent++, order + head);
    last_sent = microseconds();
    say(&connections[0], 1, order, (size_t)head + options.size);
    await(deliveries + 1, "a push");
    return last_heard - last_sent;
}

static void measure_pushes(void)
{
    for (uint32_t i = 0; i < options.connections; i++)
        say(&connections[i], 1, "who", 3);
    await(options.connections, "the answers to 'who'");
    struct connection *near = partner(true), *far = partner(false);
    for (int i = 0; i < WARM_PUSHES; i++) {
        push(near);
        push(far);
    }
    uint64_t stop = microseconds() + (uint64_t)(options.seconds * 1e6);
    while (microseconds() < stop) {
        note_latency(&latencies[0], push(near));
        note_latency(&latencies[1], push(far));
    }
    printf("{\"count\": %llu, \"local_p50_us\": %llu, \"local_p99_us\": %llu, \"remote_p50_us\": %llu, \"remote_p99_us\": %llu}\n",
           (unsigned long long)(latencies[0].count + latencies[1].count), (unsigned long long)percentile(&latencies[0], 0.5),
           (unsigned long long)percentile(&latencies[0], 0.99), (unsigned long long)percentile(&latencies[1], 0.5),
           (unsigned long long)percentile(&latencies[1], 0.99));
}

/* -- idle connections ---------------------------------------------------------------------------------------------- */

static void obey(void)
{
    char order;
    if (read(STDIN_FILENO, &order, 1) != 1)
        exit(0);
    if (order == 'b')
        broadcast();
    if (order != 'l')
        return;
    printf("{\"open\": %u, \"ended\": %u, \"pings\": %llu, \"heard\": %llu, \"sent_us\": %llu, \"last_us\": %llu}\n", opened - ended, ended,
           (unsigned long long)pings, (unsigned long long)deliveries, (unsigned long long)last_sent, (unsigned long long)last_heard);
    fflush(stdout);
}

static void hold(void)
{
    uint64_t stop = microseconds() + (uint64_t)(options.seconds * 1e6);
    settling = true;
    printf("held %u\n", opened);
    fflush(stdout);
    watch(STDIN_FILENO, NULL);
    while (microseconds() < stop)
        turn(100);
}

/* -- start --------------------------------------------------------------------------------------------------------- */

static void read_options(int argc, char **argv)
{
    static const struct option LONG[] = {
        {"connections", required_argument, 0, 'c'}, {"depth", required_argument, 0, 'd'}, {"seconds", required_argument, 0, 't'},
        {"size", required_argument, 0, 's'},        {"path", required_argument, 0, 'p'},  {"tls", no_argument, 0, 'S'},
        {"help", no_argument, 0, 'h'},              {0, 0, 0, 0},
    };
    static const char *const MODES[] = {"broadcast", "push", "hold"};
    for (int option; (option = getopt_long(argc, argv, "c:d:t:s:p:h", LONG, NULL)) != -1;) {
        switch (option) {
        case 'c': options.connections = (uint32_t)number(optarg, 1, MAX_CONNECTIONS, "--connections"); break;
        case 'd': options.depth = (uint32_t)number(optarg, 1, MAX_DEPTH, "--depth"); break;
        case 't': options.seconds = number(optarg, 0, MAX_SECONDS, "--seconds"); break;
        case 's': options.size = (size_t)number(optarg, MIN_SIZE, MAX_SIZE, "--size"); break;
        case 'p': options.path = optarg; break;
        case 'S': options.tls = true; break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: exit(2);
        }
    }
    int mode = 0;
    while (argc - optind == 2 && mode < 3 && strcmp(argv[optind], MODES[mode]))
        mode++;
    if (argc - optind != 2 || mode == 3)
        wrong_use("broadcast, push or hold and PORT are needed");
    options.mode = mode;
    options.port = (int)number(argv[optind + 1], 1, 65535, "PORT");
    if (strlen(options.path) > MAX_PATH)
        wrong_use("--path may have 200 bytes");
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
    alarm((unsigned)options.seconds + OPENING_SECONDS + 2 * SETTLE_SECONDS);
    allow_files();
    for (size_t i = 0; i < options.size; i++)
        padding[i] = (char)('a' + i % 26);
    if (options.tls)
        prepare_tls();
    connections = room(options.connections, sizeof *connections);
    epoll = epoll_create1(0);
    open_all();
    if (options.mode == BROADCAST)
        measure_broadcasts();
    else if (options.mode == PUSH)
        measure_pushes();
    else
        hold();
    return 0;
}
