// What a daemon needs of the system and Node does not offer: a lock that dies with its holder, and the service manager's socket.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "js.h"

namespace mars {

namespace {

/** (fd) -> 0, or -EAGAIN when another process holds it. Held until the descriptor is closed, also by the end of the process. */
Napi::Value lockFile(const Napi::CallbackInfo& info) {
  int result;
  do {
    result = flock(argInt(info, 0, "fd"), LOCK_EX | LOCK_NB);
  } while (result < 0 && errno == EINTR);
  return answer(info.Env(), result);
}

/** (path, text) -> 0 or -errno: one datagram to a unix socket. A leading '@' stands for the zero byte of abstract names. Never waits. */
Napi::Value sendDatagram(const Napi::CallbackInfo& info) {
  const std::string path = argPath(info, 0), text = argPath(info, 1);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return failure(info.Env(), ENAMETOOLONG);
  memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failure(info.Env(), errno);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const ssize_t sent = sendto(fd, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
  const int err = sent < 0 ? errno : 0;
  close(fd);
  return failure(info.Env(), err);
}

}  // namespace

void initService(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "lockFile", lockFile);
  exportFunction(exports, "sendDatagram", sendDatagram);
}

}  // namespace mars
