// One thread waits for all clients, in io_context::run(), and resumes a client's coroutine with its result.
// Good: it reads like the blocking server, and the library brings the loop and the type of the coroutine.
// It breaks if a coroutine takes long, and what the library does at each co_await is out of sight.
#include <boost/asio.hpp>
#include <ctype.h>
#include <unistd.h>

#include <iostream>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
constexpr auto as_values = asio::as_tuple(asio::use_awaitable);  // an error is a value, not an exception

asio::awaitable<void> serve(tcp::socket client, std::size_t size, bool upper) {
  std::string buffer(size, '\0');
  for (;;) {
    const auto [end, n] = co_await client.async_read_some(asio::buffer(buffer), as_values);
    if (end) co_return;
    for (std::size_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
    const auto [failure, sent] = co_await asio::async_write(client, asio::buffer(buffer, n), as_values);
    if (failure) co_return;
  }
}

asio::awaitable<void> accept(tcp::acceptor& listener, std::size_t size, bool upper) {
  for (;;) {
    auto [error, client] = co_await listener.async_accept(as_values);
    if (error) std::cerr << "accept: " << error.message() << '\n', usleep(100'000);  // do not spin
    if (!error)
      asio::co_spawn(listener.get_executor(), serve(std::move(client), size, upper), asio::detached);
  }
}

int main(int argc, char** argv) try {  // plain-asio-coroutines [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  asio::io_context context(1);
  tcp::acceptor listener(context, {asio::ip::address_v4::loopback(), static_cast<asio::ip::port_type>(port)});
  listener.set_option(tcp::no_delay(true));  // connections inherit it
  std::cout << R"({"event":"listening","addresses":[")" << listener.local_endpoint() << "\"]}" << std::endl;
  asio::co_spawn(context, accept(listener, size, upper), asio::detached);
  context.run();
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
