/*
 * The floor: the least that a server on this kernel can cost a request. One thread, one epoll loop, one
 * read and one write a request, a constant answer, no parser (a request ends at its blank line).
 * Usage: epoll ADDRESS PORT [BODY [CONTENT-TYPE]]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char answer[8192];
static int answer_len;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int listen_on(const char *address, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (fd < 0)
        die("socket");
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
        fprintf(stderr, "not an IPv4 address: %s\n", address);
        exit(64);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 1024))
        die("bind");
    return fd;
}

static void accept_all(int poll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event))
            close(fd);
    }
}

/* A keep-alive client without pipelining sends one request in one segment; anything else is dropped. */
static void serve(int fd) {
    static char request[16384];
    ssize_t n = read(fd, request, sizeof request);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 4 || memcmp(request + n - 4, "\r\n\r\n", 4) || write(fd, answer, answer_len) != answer_len)
        close(fd);
}

int main(int argc, char **argv) {
    struct epoll_event events[256], event = {.events = EPOLLIN};
    if (argc < 3) {
        fprintf(stderr, "usage: %s ADDRESS PORT [BODY [CONTENT-TYPE]]\n", argv[0]);
        return 64;
    }
    const char *body = argc > 3 ? argv[3] : "ok\n", *type = argc > 4 ? argv[4] : "text/plain";
    answer_len = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                          type, strlen(body), body);
    if (answer_len >= (int)sizeof answer) {
        fprintf(stderr, "the body does not fit into %zu bytes\n", sizeof answer);
        return 64;
    }
    int listener = listen_on(argv[1], atoi(argv[2])), poll = epoll_create1(EPOLL_CLOEXEC);
    event.data.fd = listener;
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event))
        die("epoll");
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener)
                accept_all(poll, listener);
            else
                serve(events[i].data.fd);
        }
    }
}
