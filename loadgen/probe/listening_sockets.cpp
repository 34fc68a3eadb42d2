#include "loadgen/probe/listening_sockets.hpp"

#include "common/proc_files.hpp"

#include <dirent.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <sstream>
#include <string_view>

namespace echobench {
namespace {

using ipv6_bytes = std::array<unsigned char, 16>;  // of an IPv4 address as well: ::ffff:127.0.0.1

constexpr ipv6_bytes any_ipv4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
constexpr ipv6_bytes any_ipv6{};

ipv6_bytes bytes_of(const endpoint& address) {
  ipv6_bytes bytes = any_ipv4;
  if (address.family() == AF_INET6) {
    std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6*>(address.address())->sin6_addr, 16);
  } else {
    std::memcpy(&bytes[12], &reinterpret_cast<const sockaddr_in*>(address.address())->sin_addr, 4);
  }
  return bytes;
}

struct table_row {
  ipv6_bytes address = any_ipv4;
  std::uint32_t port = 0;
  bool listens = false;
  inode socket = 0;
};

template <class Number>
bool parse_number(std::string_view text, Number& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc{} && end == text.data() + text.size();
}

// `0: 0100007F:1F90 00000000:0000 0A ...`: the address is written as words of this machine's byte order.
std::optional<table_row> parse_row(const std::string& line) {
  std::istringstream fields(line);
  std::array<std::string, 10> field;
  for (auto& text : field) fields >> text;
  const std::string_view local = field[1];
  const auto colon = local.find(':');
  if (!fields || (colon != 8 && colon != 32)) return std::nullopt;
  table_row row;
  for (std::size_t word = 0; word < colon / 8; ++word) {
    std::uint32_t value = 0;
    if (!parse_number(local.substr(8 * word, 8), value, 16)) return std::nullopt;
    std::memcpy(&row.address[(colon == 8 ? 12 : 0) + 4 * word], &value, sizeof value);
  }
  row.listens = field[3] == "0A";
  if (!parse_number(local.substr(colon + 1), row.port, 16) || !parse_number(field[9], row.socket, 10)) {
    return std::nullopt;
  }
  return row;
}

struct close_directory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

// False: the folder, /proc/PID/fd, must not be read.
bool add_open_sockets(const std::filesystem::path& folder, const std::set<inode>& sockets,
                      std::set<inode>& open) {
  constexpr std::string_view prefix = "socket:[";
  const std::unique_ptr<DIR, close_directory> directory(::opendir(folder.c_str()));
  if (!directory) return false;
  while (const dirent* entry = ::readdir(directory.get())) {
    std::array<char, 64> link;
    const auto size = ::readlinkat(::dirfd(directory.get()), entry->d_name, link.data(), link.size());
    if (size <= 0) continue;
    const std::string_view text(link.data(), static_cast<std::size_t>(size));
    inode number = 0;
    if (!text.starts_with(prefix) || !text.ends_with(']')) continue;
    if (!parse_number(text.substr(prefix.size(), text.size() - prefix.size() - 1), number, 10)) continue;
    if (sockets.contains(number)) open.insert(number);
  }
  return true;
}

}  // namespace

std::set<inode> sockets_listening_on(const endpoint& target, const std::string& tcp,
                                     const std::string& tcp6) {
  const ipv6_bytes wanted = bytes_of(target);
  const bool is_ipv4 = std::equal(any_ipv4.begin(), any_ipv4.begin() + 12, wanted.begin());
  // In the order of the kernel's preference; an IPv4 connection finds a socket of either wildcard.
  std::array<std::set<inode>, 3> by_preference;
  for (const std::string& table : {tcp, tcp6}) {
    std::istringstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      const auto row = parse_row(line);
      if (!row || !row->listens || row->port != target.port()) continue;
      if (row->address == wanted) by_preference[0].insert(row->socket);
      if (row->address == any_ipv4 && is_ipv4) by_preference[1].insert(row->socket);
      if (row->address == any_ipv6) by_preference[2].insert(row->socket);
    }
  }
  for (const auto& sockets : by_preference) {
    if (!sockets.empty()) return sockets;
  }
  return {};
}

std::set<inode> sockets_listening_on(const endpoint& target) {
  return sockets_listening_on(target, read_file("/proc/self/net/tcp"), read_file("/proc/self/net/tcp6"));
}

std::optional<std::set<inode>> sockets_of(pid_t pid, const std::set<inode>& sockets) {
  std::set<inode> open;
  if (!add_open_sockets(proc_of(pid) / "fd", sockets, open)) return std::nullopt;
  const auto stat = read_stat(pid);
  if (stat && stat->state == 'Z') {  // its first thread has ended, and others may go on
    for (const auto& thread : entries_of(proc_of(pid) / "task")) {
      add_open_sockets(thread / "fd", sockets, open);
    }
  }
  return open;
}

}  // namespace echobench
