/* load.c: a load client for echo and hello servers on 127.0.0.1.
 *
 * One thread and one epoll set drive N connections, each with DEPTH requests in flight; a new request leaves as soon as an
 * answer came (closed loop).  Every request carries its own number and every answer is compared byte for byte with what that
 * request must give, so a server that answers wrongly, out of order or with an error ends the run instead of winning it.
 * All that grows has a limit, and an alarm ends the process if the server stops answering.
 */
#define _GNU_SOURCE
#include "client.h"

#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 15000,
    MAX_DEPTH = 256,
    MAX_SECONDS = 120,
    MIN_SIZE = 17, /* two numbers of eight digits and a newline */
    MAX_SIZE = 16000,
    MAX_TEXT = 1024,              /* of --path and --expect */
    OPENING_AT_ONCE = 64,         /* unfinished handshakes, so that a short accept queue does not overflow */
    OPENING_SECONDS = 60,         /* for all connections together */
    UDP_LOST_MICROSECONDS = 200000,
};

static const char USAGE[] =
    "usage: load PROTOCOL PORT [options]\n"
    "\n"
    "PROTOCOL is one of\n"
    "  http   GET --path over keep-alive connections; each answer must be 2xx and its body --expect\n"
    "  ws     masked WebSocket text messages of --size bytes to --path; each must come back\n"
    "  tcp    lines of --size bytes, newline included; each must come back\n"
    "  udp    datagrams of --size bytes; a lost one is counted and replaced after 200 ms\n"
    "\n"
    "  -c, --connections N  connections (default 64, at most 15000)\n"
    "  -d, --depth N        requests in flight on each (default 1, at most 256; udp: 1)\n"
    "  -t, --seconds N      length of the run (default 2, at most 120)\n"
    "  -n, --requests N     end after this many answers, if that comes first\n"
    "  -s, --size N         bytes of a message (default 64, 17 to 16000)\n"
    "  -p, --path PATH      path of http and ws (default /)\n"
    "  -e, --expect BODY    body that http must answer (default empty)\n"
    "                       '########' in PATH and BODY becomes the number of the request, eight hexadecimal digits\n"
    "      --hold           open the connections, exchange one message on each, print 'held N', then keep them idle\n"
    "                       until standard input ends or the seconds are over\n"
    "\n"
    "Connections go to 127.0.0.1 and come from 127.0.0.2, 127.0.0.3, ..., 4000 from each.\n"
    "Prints one line of JSON: count, seconds, p50_us, p99_us, max_us, lost.  Exit status 1: a wrong answer, or none.\n";

static const char HOLE[] = "########";
static const char WEBSOCKET_KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char WEBSOCKET_ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* what that key must be answered with */
static const unsigned char MASK[4] = {0x12, 0x9a, 0x56, 0xde};

struct connection {
    int fd;
    uint32_t index;
    bool open;         /* ready for requests: the WebSocket handshake is over */
    bool wants_output; /* EPOLLOUT is asked for */
    uint32_t sent;     /* number of the next request */
    uint32_t answered; /* number of the next answer */
    uint64_t *started; /* when request number i left, at i % depth */
    char *in, *out;
    size_t in_used, out_used;
};

struct protocol {
    const char *name;
    int socket_type;
    /* Write request `number` to `to`; its length. */
    size_t (*request)(const struct connection *c, uint32_t number, char *to);
    /* Look at the bytes received: 0 when an answer is not complete, else how many belong to it.
     * `*answered` tells whether it answers the request that is due (a ping or a late datagram does not). */
    size_t (*answer)(struct connection *c, const char *data, size_t length, bool *answered);
};

/* A text with at most one place for a request's number. */
struct template {
    char text[MAX_TEXT + 128];
    size_t length;
    char *hole;
};

static struct {
    const struct protocol *protocol;
    int port;
    uint32_t connections, depth;
    double seconds;
    uint64_t requests;
    size_t size;
    const char *path, *expect;
    bool hold;
} options = {.connections = 64, .depth = 1, .seconds = 2, .requests = UINT64_MAX, .size = 64, .path = "/", .expect = ""};

static struct connection *connections;
static int epoll;
static size_t in_room, out_room;
static struct template request_head, expected_body;
static char padding[MAX_SIZE];
static bool running; /* an answer is followed by the next request */
static uint32_t opened;
static uint64_t lost;
static struct latencies latencies;

/* -- messages ------------------------------------------------------------------------------------------------------ */

static void put_number(char *to, uint32_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 4)
        to[i] = "0123456789abcdef"[number & 15];
}

static uint32_t get_number(const char *from)
{
    char digits[9] = {0};
    memcpy(digits, from, 8);
    return (uint32_t)strtoul(digits, NULL, 16);
}

/* The text of an echo message: the connection, the number, then padding. */
static void put_message(const struct connection *c, uint32_t number, char *to)
{
    memcpy(to, padding, options.size);
    put_number(to, c->index);
    put_number(to + 8, number);
}

static void check_message(const struct connection *c, uint32_t number, const char *data, size_t length)
{
    char expected[MAX_SIZE];
    put_message(c, number, expected);
    if (length != options.size || memcmp(data, expected, length))
        die("connection %u: answer %u is '%.*s', not what was sent", c->index, number, (int)(length < 80 ? length : 80), data);
}

static void prepare_template(struct template *t, const char *format, const char *first, int second)
{
    int length = snprintf(t->text, sizeof t->text, format, first, second);
    if (length < 0 || (size_t)length >= sizeof t->text)
        die("--path and --expect may have %d bytes", MAX_TEXT);
    t->length = (size_t)length;
    t->hole = strstr(t->text, HOLE);
}

static const struct template *fill(struct template *t, const struct connection *c, uint32_t number)
{
    if (t->hole)
        put_number(t->hole, c->index << 16 | (number & 0xffff));
    return t;
}

/* -- http ---------------------------------------------------------------------------------------------------------- */

static size_t http_request(const struct connection *c, uint32_t number, char *to)
{
    const struct template *head = fill(&request_head, c, number);
    memcpy(to, head->text, head->length);
    return head->length;
}

static size_t http_answer(struct connection *c, const char *data, size_t length, bool *answered)
{
    const char *end = head_end(data, length);
    if (!end)
        return 0;
    if (strncmp(data, "HTTP/1.1 2", 10))
        die("connection %u: answer %u is '%.*s'", c->index, c->answered, (int)strcspn(data, "\r\n"), data);
    const char *value = header(data, end, "content-length");
    if (!value)
        die("connection %u: answer %u has no Content-Length", c->index, c->answered);
    const struct template *body = fill(&expected_body, c, c->answered);
    size_t body_length = strtoul(value, NULL, 10);
    if (body_length != body->length)
        die("connection %u: answer %u has %zu bytes, expected %zu", c->index, c->answered, body_length, body->length);
    size_t whole = (size_t)(end - data) + body_length;
    if (length < whole)
        return 0;
    if (memcmp(end, body->text, body_length))
        die("connection %u: answer %u is '%.*s', expected '%s'", c->index, c->answered, (int)body_length, end, body->text);
    *answered = true;
    return whole;
}

/* -- ws ------------------------------------------------------------------------------------------------------------ */

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

static size_t ws_request(const struct connection *c, uint32_t number, char *to)
{
    char message[MAX_SIZE];
    put_message(c, number, message);
    return put_frame(to, 1, message, options.size);
}

static size_t ws_answer(struct connection *c, const char *data, size_t length, bool *answered)
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
        check_message(c, c->answered, data + head, body);
        *answered = true;
        break;
    case 0x89: /* ping */
        if (body > 125 || c->out_used + 131 > out_room)
            die("connection %u: a ping too many or too long", c->index);
        c->out_used += put_frame(c->out + c->out_used, 10, data + head, body);
        break;
    default:
        die("connection %u: unexpected frame %02x instead of answer %u", c->index, (unsigned char)data[0], c->answered);
    }
    return head + body;
}

static size_t ws_handshake(struct connection *c, const char *data, size_t length)
{
    const char *end = head_end(data, length);
    if (!end)
        return 0;
    const char *accept = header(data, end, "sec-websocket-accept");
    if (strncmp(data, "HTTP/1.1 101", 12) || !accept || strncmp(accept, WEBSOCKET_ACCEPT, strlen(WEBSOCKET_ACCEPT)))
        die("connection %u: the handshake was answered with '%.*s'", c->index, (int)strcspn(data, "\r\n"), data);
    return (size_t)(end - data);
}

/* -- tcp and udp --------------------------------------------------------------------------------------------------- */

static size_t plain_request(const struct connection *c, uint32_t number, char *to)
{
    put_message(c, number, to);
    return options.size;
}

static size_t tcp_answer(struct connection *c, const char *data, size_t length, bool *answered)
{
    if (length < options.size)
        return 0;
    check_message(c, c->answered, data, options.size);
    *answered = true;
    return options.size;
}

static size_t udp_answer(struct connection *c, const char *data, size_t length, bool *answered)
{
    uint32_t number = length == options.size ? get_number(data + 8) : c->answered;
    check_message(c, number, data, length);
    *answered = number == c->answered; /* an older one was already given up as lost */
    return length;
}

static const struct protocol PROTOCOLS[] = {
    {"http", SOCK_STREAM, http_request, http_answer},
    {"ws", SOCK_STREAM, ws_request, ws_answer},
    {"tcp", SOCK_STREAM, plain_request, tcp_answer},
    {"udp", SOCK_DGRAM, plain_request, udp_answer},
};

static bool is(const char *name)
{
    return !strcmp(options.protocol->name, name);
}

/* -- connections --------------------------------------------------------------------------------------------------- */

static void watch(struct connection *c, int operation, bool output)
{
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
    c->wants_output = output;
}

static void flush(struct connection *c)
{
    while (c->out_used) {
        ssize_t done = send(c->fd, c->out, c->out_used, MSG_NOSIGNAL);
        if (done < 0 && errno == EAGAIN)
            break;
        if (done < 0)
            die("connection %u: send: %s", c->index, strerror(errno));
        c->out_used -= (size_t)done;
        memmove(c->out, c->out + done, c->out_used);
    }
    if (c->wants_output != (c->out_used > 0))
        watch(c, EPOLL_CTL_MOD, c->out_used > 0);
}

static void queue_request(struct connection *c)
{
    c->out_used += options.protocol->request(c, c->sent, c->out + c->out_used);
    c->started[c->sent++ % options.depth] = microseconds();
}

static void mark_open(struct connection *c)
{
    c->open = true;
    opened++;
    if (options.hold)
        queue_request(c);
}

static void take_answer(struct connection *c)
{
    if (c->answered == c->sent)
        die("connection %u: an answer without a request", c->index);
    uint64_t latency = microseconds() - c->started[c->answered++ % options.depth];
    if (!running && !options.hold)
        return;
    note_latency(&latencies, latency);
    if (running)
        queue_request(c);
}

static size_t consume(struct connection *c, const char *data, size_t length)
{
    if (!c->open) {
        size_t used = ws_handshake(c, data, length);
        if (used)
            mark_open(c);
        return used;
    }
    bool answered = false;
    size_t used = options.protocol->answer(c, data, length, &answered);
    if (answered)
        take_answer(c);
    return used;
}

static void receive(struct connection *c)
{
    ssize_t got = recv(c->fd, c->in + c->in_used, in_room - c->in_used, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0)
        die("connection %u: recv: %s", c->index, strerror(errno));
    if (got == 0)
        die("connection %u: the server closed it after %u answers", c->index, c->answered);
    c->in_used += (size_t)got;
    c->in[c->in_used] = '\0'; /* so that string functions end */
    size_t at = 0, used;
    while (at < c->in_used && (used = consume(c, c->in + at, c->in_used - at)))
        at += used;
    c->in_used -= at;
    memmove(c->in, c->in + at, c->in_used);
    if (c->in_used == in_room)
        die("connection %u: an answer longer than %zu bytes", c->index, in_room);
    flush(c);
}

static void turn(int milliseconds)
{
    struct epoll_event events[256];
    int ready = epoll_wait(epoll, events, 256, milliseconds);
    for (int i = 0; i < ready; i++) {
        struct connection *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            flush(c);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(c);
    }
}

static void connect_to_server(struct connection *c)
{
    struct sockaddr_in from = loopback(1 + c->index / CONNECTIONS_AN_ADDRESS, 0), to = loopback(0, options.port);
    int yes = 1;
    c->fd = socket(AF_INET, options.protocol->socket_type, 0);
    if (c->fd < 0)
        die("connection %u: socket: %s", c->index, strerror(errno));
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes); /* the port is chosen at connect, so more fit */
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connection %u: connect: %s", c->index, strerror(errno));
    if (options.protocol->socket_type == SOCK_STREAM)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void open_connection(struct connection *c)
{
    connect_to_server(c);
    c->started = room(options.depth, sizeof *c->started);
    c->in = room(in_room + 1, 1);
    c->out = room(out_room, 1);
    watch(c, EPOLL_CTL_ADD, false);
    if (is("ws"))
        c->out_used = (size_t)snprintf(c->out, out_room,
            "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:%d\r\n\r\n",
            options.path, options.port, WEBSOCKET_KEY, options.port);
    else
        mark_open(c);
    flush(c);
}

static void open_all(void)
{
    uint64_t deadline = microseconds() + OPENING_SECONDS * 1000000ull;
    for (uint32_t i = 0; i < options.connections; i++) {
        connections[i].index = i;
        open_connection(&connections[i]);
        do {
            turn(i + 1 - opened > OPENING_AT_ONCE ? 100 : 0);
            if (microseconds() > deadline)
                die("only %u of %u connections opened in %d s", opened, options.connections, OPENING_SECONDS);
        } while (i + 1 - opened > OPENING_AT_ONCE);
    }
    while (opened < options.connections || (options.hold && latencies.count < options.connections)) {
        turn(100);
        if (microseconds() > deadline)
            die("only %u of %u connections opened in %d s", opened, options.connections, OPENING_SECONDS);
    }
}

/* -- the two kinds of run ------------------------------------------------------------------------------------------ */

/* Replace datagrams that did not come back. */
static void give_up_lost(void)
{
    uint64_t now = microseconds();
    for (uint32_t i = 0; i < options.connections; i++) {
        struct connection *c = &connections[i];
        if (now - c->started[c->answered % options.depth] < UDP_LOST_MICROSECONDS)
            continue;
        lost += c->sent - c->answered;
        c->answered = c->sent;
        queue_request(c);
        flush(c);
    }
}

static void measure(void)
{
    uint64_t start = microseconds(), end = start + (uint64_t)(options.seconds * 1e6), next_look = start + UDP_LOST_MICROSECONDS;
    running = true;
    for (uint32_t i = 0; i < options.connections; i++) {
        for (uint32_t d = 0; d < options.depth; d++)
            queue_request(&connections[i]);
        flush(&connections[i]);
    }
    uint64_t now = start;
    while (now < end && latencies.count < options.requests) {
        turn(20);
        now = microseconds();
        if (is("udp") && now > next_look) {
            give_up_lost();
            next_look = now + UDP_LOST_MICROSECONDS;
        }
    }
    if (!latencies.count)
        die("no answer in %.0f s", options.seconds);
    printf("{\"count\": %llu, \"seconds\": %.4f, \"p50_us\": %llu, \"p99_us\": %llu, \"max_us\": %llu, \"lost\": %llu}\n",
           (unsigned long long)latencies.count, (double)(now - start) / 1e6, (unsigned long long)percentile(&latencies, 0.5),
           (unsigned long long)percentile(&latencies, 0.99), (unsigned long long)latencies.longest, (unsigned long long)lost);
}

static void hold(void)
{
    uint64_t end = microseconds() + (uint64_t)(options.seconds * 1e6);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    printf("held %u\n", opened);
    fflush(stdout);
    while (microseconds() < end && poll(&input, 1, 0) == 0)
        turn(100);
}

/* -- start --------------------------------------------------------------------------------------------------------- */

static void read_options(int argc, char **argv)
{
    static const struct option LONG[] = {
        {"connections", required_argument, 0, 'c'}, {"depth", required_argument, 0, 'd'}, {"seconds", required_argument, 0, 't'},
        {"requests", required_argument, 0, 'n'},    {"size", required_argument, 0, 's'},  {"path", required_argument, 0, 'p'},
        {"expect", required_argument, 0, 'e'},      {"hold", no_argument, 0, 'H'},        {"help", no_argument, 0, 'h'},
        {0, 0, 0, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:d:t:n:s:p:e:h", LONG, NULL)) != -1;) {
        switch (option) {
        case 'c': options.connections = (uint32_t)number(optarg, 1, MAX_CONNECTIONS, "--connections"); break;
        case 'd': options.depth = (uint32_t)number(optarg, 1, MAX_DEPTH, "--depth"); break;
        case 't': options.seconds = number(optarg, 0, MAX_SECONDS, "--seconds"); break;
        case 'n': options.requests = (uint64_t)number(optarg, 1, 1e12, "--requests"); break;
        case 's': options.size = (size_t)number(optarg, MIN_SIZE, MAX_SIZE, "--size"); break;
        case 'p': options.path = optarg; break;
        case 'e': options.expect = optarg; break;
        case 'H': options.hold = true; break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: exit(2);
        }
    }
    if (argc - optind != 2)
        wrong_use("PROTOCOL and PORT are needed");
    for (size_t i = 0; i < sizeof PROTOCOLS / sizeof *PROTOCOLS; i++)
        if (!strcmp(PROTOCOLS[i].name, argv[optind]))
            options.protocol = &PROTOCOLS[i];
    if (!options.protocol)
        wrong_use("PROTOCOL must be http, ws, tcp or udp");
    options.port = (int)number(argv[optind + 1], 1, 65535, "PORT");
    if (is("udp") && options.depth > 1)
        wrong_use("udp keeps one datagram in flight");
    if (strlen(options.path) > MAX_TEXT || strlen(options.expect) > MAX_TEXT)
        wrong_use("--path and --expect may have 1024 bytes");
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    alarm((unsigned)options.seconds + OPENING_SECONDS + 10);
    allow_files();

    for (size_t i = 0; i < options.size; i++)
        padding[i] = (char)('a' + i % 26);
    if (is("tcp"))
        padding[options.size - 1] = '\n';
    prepare_template(&request_head, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", options.path, options.port);
    prepare_template(&expected_body, "%s", options.expect, 0);
    in_room = 4096 + options.depth * (options.size + 1024);
    out_room = 4096 + (options.depth + 1) * (options.size + 16 + request_head.length);

    connections = room(options.connections, sizeof *connections);
    epoll = epoll_create1(0);
    open_all();
    if (options.hold)
        hold();
    else
        measure();
    return 0;
}
