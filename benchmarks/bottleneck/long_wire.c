/*
 * long_wire.py in C, for rates at which that one cannot keep up: at 300 Mb/s 25,000 packets a second go one way, and
 * the acknowledgements the other.
 *
 *     long_wire DEVICE DEVICE SECONDS [LOSS [JITTER]]
 *
 * It ends with its input.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MOST (1u << 16)   /* packets under way, a power of two: at 300 Mb/s and 25 ms there are a thousand */
#define READS 64          /* packets that are read from one device before the other has its turn */
#define LONGEST 65536
#define SECOND 1000000000LL

struct packet {
    int64_t due;
    int device;
    int length;
    unsigned char data[];
};

static struct packet *waiting[MOST];
static unsigned first, next;
static int64_t latest;
static int64_t delay, jitter;
static double loss;

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * SECOND + at.tv_nsec;
}

static int make_device(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) {
        perror(name);
        exit(1);
    }
    return device;
}

static void take(int64_t at, int from, int to)
{
    static unsigned char buffer[LONGEST];
    for (int count = 0; count < READS; count++) {
        ssize_t length = read(from, buffer, sizeof buffer);
        if (length <= 0)
            return;
        if ((loss > 0 && drand48() < loss) || next - first == MOST)
            continue;
        struct packet *packet = malloc(sizeof *packet + length);
        if (packet == NULL)
            exit(1);
        int64_t due = at + delay + (jitter ? (int64_t)(drand48() * jitter) : 0);
        latest = due > latest ? due : latest; /* first in, first out, also where there is jitter */
        packet->due = latest;
        packet->device = to;
        packet->length = length;
        memcpy(packet->data, buffer, length);
        waiting[next++ % MOST] = packet;
    }
}

static void pass_on(int64_t at)
{
    while (next != first && waiting[first % MOST]->due <= at) {
        struct packet *packet = waiting[first++ % MOST];
        /* What a device does not take, since it is not up yet, is lost. */
        ssize_t ignored = write(packet->device, packet->data, packet->length);
        (void)ignored;
        free(packet);
    }
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    int near = make_device(words[1]), far = make_device(words[2]);
    delay = (int64_t)(atof(words[3]) * SECOND);
    loss = count > 4 ? atof(words[4]) : 0;
    jitter = count > 5 ? (int64_t)(atof(words[5]) * SECOND) : 0;
    srand48(1); /* the same losses in each run */
    prctl(PR_SET_TIMERSLACK, 1);
    puts("{\"event\": \"made\"}");
    fflush(stdout);
    struct pollfd sources[] = {{near, POLLIN, 0}, {far, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    for (;;) {
        struct timespec pause = {0, 0};
        if (next != first) {
            int64_t left = waiting[first % MOST]->due - now();
            if (left > 0)
                pause = (struct timespec){left / SECOND, left % SECOND};
        }
        if (ppoll(sources, 3, next != first ? &pause : NULL, NULL) < 0 && errno != EINTR)
            return 1;
        if (sources[2].revents) {
            char line[256];
            if (read(STDIN_FILENO, line, sizeof line) <= 0)
                return 0;
        }
        int64_t at = now();
        if (sources[0].revents & POLLIN)
            take(at, near, far);
        if (sources[1].revents & POLLIN)
            take(at, far, near);
        pass_on(at);
    }
}
