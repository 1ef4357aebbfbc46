// Socket.IO as its documentation shows it: sockets join a room, a publish emits to the room.
// Only the publishing endpoint is ours: POST /publish with the tally as JSON.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const server = createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/publish") {
    response.end("ready");
    return;
  }
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    io.to("poll").emit("results", JSON.parse(Buffer.concat(chunks)));
    response.end("ok");
  });
});
const io = new Server(server, { serveClient: false });
io.on("connection", (socket) => socket.join("poll"));
server.listen(Number(process.env.PORT), "127.0.0.1", 4096);
