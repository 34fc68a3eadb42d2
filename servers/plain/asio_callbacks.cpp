// One thread waits for all clients, in io_context::run(), which calls back when an operation has completed.
// Good: the loop is written already, runs on every system, and waits for timers and other files as well.
// It breaks if a callback takes long, and what is one function elsewhere is cut where it waits.
#include <boost/asio.hpp>
#include <ctype.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

struct session : std::enable_shared_from_this<session> {  // it lives while a callback refers to it
  session(tcp::socket client, std::size_t size, bool upper)
      : client_(std::move(client)), buffer_(size, '\0'), upper_(upper) {}

  void receive() {
    client_.async_read_some(asio::buffer(buffer_),
                            [this, self = shared_from_this()](error_code error, std::size_t n) {
                              if (!error) send(n);
                            });
  }

  void send(std::size_t n) {
    for (std::size_t i = 0; upper_ && i < n; ++i) buffer_[i] = static_cast<char>(toupper(buffer_[i] & 0xff));
    asio::async_write(client_, asio::buffer(buffer_, n),
                      [this, self = shared_from_this()](error_code error, std::size_t) {
                        if (!error) receive();
                      });
  }

  tcp::socket client_;
  std::string buffer_;
  bool upper_;
};

void accept(tcp::acceptor& listener, std::size_t size, bool upper) {
  listener.async_accept([&listener, size, upper](error_code error, tcp::socket client) {
    if (error) std::cerr << "accept: " << error.message() << '\n', usleep(100'000);  // do not spin
    if (!error) std::make_shared<session>(std::move(client), size, upper)->receive();
    accept(listener, size, upper);
  });
}

int main(int argc, char** argv) try {  // plain-asio-callbacks [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  asio::io_context context(1);
  tcp::acceptor listener(context, {asio::ip::address_v4::loopback(), static_cast<asio::ip::port_type>(port)});
  listener.set_option(tcp::no_delay(true));  // connections inherit it
  std::cout << R"({"event":"listening","addresses":[")" << listener.local_endpoint() << "\"]}" << std::endl;
  accept(listener, size, upper);
  context.run();
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
