/** Takes connections on a free port of loopback, which it prints, and reads what comes. */
import { createServer } from "node:net";

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", () => {});
  socket.on("error", () => {});
});
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  console.log(server.address().port);
});
