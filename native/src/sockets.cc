// Sockets for the ring. They stay blocking: io_uring waits for them itself, and answers -EAGAIN for non-blocking ones.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "js.h"

namespace mars {

namespace {

constexpr int kBacklog = 128;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
};

/** 0 or an errno. */
int unixAddress(const std::string& path, Address* out) {
  sockaddr_un* un = reinterpret_cast<sockaddr_un*>(&out->storage);
  if (path.size() >= sizeof un->sun_path) return ENAMETOOLONG;
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
  out->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return 0;
}

/** Numeric addresses only: names are resolved where waiting is allowed. 0 or an errno. */
int ipAddress(const std::string& host, int32_t port, Address* out) {
  if (port < 0 || port > 65535) return EINVAL;
  sockaddr_in* v4 = reinterpret_cast<sockaddr_in*>(&out->storage);
  sockaddr_in6* v6 = reinterpret_cast<sockaddr_in6*>(&out->storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    out->length = sizeof *v4;
    return 0;
  }
  std::memset(&out->storage, 0, sizeof out->storage);
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return EINVAL;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<uint16_t>(port));
  out->length = sizeof *v6;
  return 0;
}

Napi::Value closeAndFail(Napi::Env env, int fd, int err) {
  close(fd);
  return failure(env, err);
}

/** (path, backlog = 128, mode = 0o600) -> fd or -errno. The caller removes a stale socket first; -EADDRINUSE otherwise. */
Napi::Value listenUnix(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = argPath(info, 0);
  const int32_t backlog = argInt(info, 1, "backlog", kBacklog), mode = argInt(info, 2, "mode", 0600);
  Address address;
  if (const int err = unixAddress(path, &address)) return failure(env, err);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failure(env, errno);
  if (bind(fd, address.raw(), address.length) < 0) return closeAndFail(env, fd, errno);
  // Nobody can connect before listen(), so there is no moment at which the mode is not yet in force.
  if (chmod(path.c_str(), static_cast<mode_t>(mode)) < 0 || listen(fd, backlog) < 0) {
    const int err = errno;
    unlink(path.c_str());
    return closeAndFail(env, fd, err);
  }
  return Napi::Number::New(env, fd);
}

/** (host, port, backlog = 128) -> fd or -errno; host is a numeric address, port 0 lets the kernel choose (socketName tells) */
Napi::Value listenTcp(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string host = argPath(info, 0);
  const int32_t port = argInt(info, 1, "port"), backlog = argInt(info, 2, "backlog", kBacklog);
  Address address;
  if (const int err = ipAddress(host, port, &address)) return failure(env, err);
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failure(env, errno);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // `::` also serves IPv4 whatever the sysctl says; hosts that want only one of them name it.
  const int off = 0;
  if (address.storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(fd, address.raw(), address.length) < 0 || listen(fd, backlog) < 0) return closeAndFail(env, fd, errno);
  return Napi::Number::New(env, fd);
}

/** ('unix' | 'ipv4' | 'ipv6') -> fd or -errno: an unconnected stream socket for the CONNECT operation */
Napi::Value streamSocket(const Napi::CallbackInfo& info) {
  const std::string family = argPath(info, 0);
  const int domain = family == "unix" ? AF_UNIX : family == "ipv4" ? AF_INET : family == "ipv6" ? AF_INET6 : -1;
  if (domain < 0) return failure(info.Env(), EAFNOSUPPORT);
  return answer(info.Env(), socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/** (path) or (host, port) -> Uint8Array to be copied into the arena for CONNECT, or -errno */
Napi::Value socketAddress(const Napi::CallbackInfo& info) {
  const std::string where = argPath(info, 0);
  Address address;
  const int err = info.Length() > 1 && !info[1].IsUndefined() ? ipAddress(where, argInt(info, 1, "port"), &address) : unixAddress(where, &address);
  if (err) return failure(info.Env(), err);
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), address.length);
  std::memcpy(out.Data(), &address.storage, address.length);
  return out;
}

Napi::Value describe(Napi::Env env, const Address& address) {
  Napi::Object out = Napi::Object::New(env);
  char text[INET6_ADDRSTRLEN] = "";
  if (address.storage.ss_family == AF_UNIX) {
    const sockaddr_un* un = reinterpret_cast<const sockaddr_un*>(&address.storage);
    const size_t room = address.length > offsetof(sockaddr_un, sun_path) ? address.length - offsetof(sockaddr_un, sun_path) : 0;
    out.Set("family", "unix");
    out.Set("address", Napi::String::New(env, un->sun_path, strnlen(un->sun_path, room)));
    out.Set("port", 0);
  } else if (address.storage.ss_family == AF_INET) {
    const sockaddr_in* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    out.Set("family", "ipv4");
    out.Set("address", inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text));
    out.Set("port", ntohs(v4->sin_port));
  } else if (address.storage.ss_family == AF_INET6) {
    const sockaddr_in6* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    out.Set("family", "ipv6");
    out.Set("address", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text));
    out.Set("port", ntohs(v6->sin6_port));
  } else {
    return failure(env, EAFNOSUPPORT);
  }
  return out;
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

/** (fd) -> { family, address, port } or -errno */
template <NameCall call>
Napi::Value nameOf(const Napi::CallbackInfo& info) {
  Address address;
  address.length = sizeof address.storage;
  if (call(argInt(info, 0, "fd"), address.raw(), &address.length) < 0) return failure(info.Env(), errno);
  return describe(info.Env(), address);
}

/** (fd, sendBytes, receiveBytes) -> { sendBytes, receiveBytes } as in force (the kernel doubles and caps), or -errno; 0 leaves one as it is */
Napi::Value socketBuffers(const Napi::CallbackInfo& info) {
  const int fd = argInt(info, 0, "fd");
  int sizes[2] = {argInt(info, 1, "sendBytes"), argInt(info, 2, "receiveBytes")};
  const int names[2] = {SO_SNDBUF, SO_RCVBUF}, forced[2] = {SO_SNDBUFFORCE, SO_RCVBUFFORCE};
  for (int i = 0; i < 2; i++) {
    socklen_t length = sizeof sizes[i];
    // With CAP_NET_ADMIN the limit of net.core.*mem_max does not apply; without it the plain option is tried.
    if (sizes[i] > 0 && setsockopt(fd, SOL_SOCKET, forced[i], &sizes[i], length) < 0 &&
        setsockopt(fd, SOL_SOCKET, names[i], &sizes[i], length) < 0)
      return failure(info.Env(), errno);
    if (getsockopt(fd, SOL_SOCKET, names[i], &sizes[i], &length) < 0) return failure(info.Env(), errno);
  }
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("sendBytes", sizes[0]);
  out.Set("receiveBytes", sizes[1]);
  return out;
}

/** (fd, keepAliveSec = 0) -> 0 or -errno: no Nagle delay; a dead peer is noticed after keepAliveSec + 4 * keepAliveSec / 4 */
Napi::Value tcpOptions(const Napi::CallbackInfo& info) {
  const int fd = argInt(info, 0, "fd"), idle = argInt(info, 1, "keepAliveSec", 0), on = 1;
  int result = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (result == 0 && idle > 0) {
    const int interval = idle < 4 ? 1 : idle / 4, count = 4;
    result = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (result == 0) result = setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    if (result == 0) result = setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    if (result == 0) result = setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  }
  return answer(info.Env(), result);
}

/** () -> [fd, fd] or -errno: two connected stream sockets */
Napi::Value socketPair(const Napi::CallbackInfo& info) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return failure(info.Env(), errno);
  Napi::Array out = Napi::Array::New(info.Env(), 2);
  out.Set(0u, pair[0]);
  out.Set(1u, pair[1]);
  return out;
}

}  // namespace

void initSockets(Napi::Env, Napi::Object& exports) {
  exportFunction(exports, "listenUnix", listenUnix);
  exportFunction(exports, "listenTcp", listenTcp);
  exportFunction(exports, "streamSocket", streamSocket);
  exportFunction(exports, "socketAddress", socketAddress);
  exportFunction(exports, "socketName", nameOf<getsockname>);
  exportFunction(exports, "peerName", nameOf<getpeername>);
  exportFunction(exports, "socketBuffers", socketBuffers);
  exportFunction(exports, "tcpOptions", tcpOptions);
  exportFunction(exports, "socketpair", socketPair);
}

}  // namespace mars
