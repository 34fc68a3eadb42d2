// The linker puts these in place of the calls by which event loops wait (CMakeLists.txt): of Asio's loops,
// too, whose turns happen in the library. Rings count their own (serving/uring.cpp).
#include "servers/serving/turns.hpp"

#include <poll.h>
#include <sys/epoll.h>

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
extern "C" {
int __real_epoll_wait(int set, epoll_event* events, int room, int timeout);
int __real_epoll_pwait2(int set, epoll_event* events, int room, const timespec* timeout,
                        const sigset_t* mask);
int __real_ppoll(pollfd* places, nfds_t count, const timespec* timeout, const sigset_t* mask);

int __wrap_epoll_wait(int set, epoll_event* events, int room, int timeout) {
  echobench::turns_of_this_thread.add();
  return __real_epoll_wait(set, events, room, timeout);
}

int __wrap_epoll_pwait2(int set, epoll_event* events, int room, const timespec* timeout,
                        const sigset_t* mask) {
  echobench::turns_of_this_thread.add();
  return __real_epoll_pwait2(set, events, room, timeout, mask);
}

int __wrap_ppoll(pollfd* places, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  echobench::turns_of_this_thread.add();
  return __real_ppoll(places, count, timeout, mask);
}
}
// NOLINTEND(bugprone-reserved-identifier)
