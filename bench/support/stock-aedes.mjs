/** Stock aedes on its own memory, on a free port of loopback, which it prints. */
import { createServer } from "node:net";
import { Aedes } from "aedes";

const broker = await Aedes.createBroker();
const server = createServer({ noDelay: true }, (socket) => broker.handle(socket));
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => {
  console.log(server.address().port);
});
