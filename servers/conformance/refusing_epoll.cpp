// For tests, to be preloaded into a server (ld.so(8), LD_PRELOAD): epoll_ctl(2) does not add the second and
// the third connection to a set, as if the user's watches were used up. In each process.
#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<unsigned> additions = 0;

bool connected(int fd) noexcept {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

}  // namespace

extern "C" int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
  static const auto really = reinterpret_cast<decltype(&::epoll_ctl)>(::dlsym(RTLD_NEXT, "epoll_ctl"));
  if (operation == EPOLL_CTL_ADD && connected(fd)) {
    const unsigned number = ++additions;
    if (number == 2 || number == 3) {
      errno = ENOSPC;
      return -1;
    }
  }
  return really(set, operation, fd, event);
}
