// java.net.http.WebSocket as a driver: reads commands from stdin, one a line with tabs between the words, and prints
// one line of JSON for each. The commands are in crates/tidegate/tests/stock/driver.rs.
// Run with: java Stock.java

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

public class Stock {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    /** What one connection hears, in order. Without `request(1)` nothing more is ever delivered. */
    static class Ear implements WebSocket.Listener {
        final LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        final AtomicInteger pings = new AtomicInteger();
        private final StringBuilder text = new StringBuilder();
        private final ByteArrayOutputStream binary = new ByteArrayOutputStream();

        @Override public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
            text.append(part);
            if (last) {
                heard.add(object("text", text.toString()));
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }

        @Override public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean last) {
            byte[] bytes = new byte[part.remaining()];
            part.get(bytes);
            binary.writeBytes(bytes);
            if (last) {
                heard.add(object("binary", Base64.getEncoder().encodeToString(binary.toByteArray())));
                binary.reset();
            }
            socket.request(1);
            return null;
        }

        @Override public CompletionStage<?> onPing(WebSocket socket, ByteBuffer message) {
            pings.incrementAndGet(); // the pong was sent before this was called
            socket.request(1);
            return null;
        }

        @Override public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            heard.add("{\"closed\":" + code + ",\"reason\":" + quoted(reason) + "}");
            return null;
        }

        @Override public void onError(WebSocket socket, Throwable error) {
            heard.add(object("failed", error.toString()));
        }
    }

    record Connection(WebSocket socket, Ear ear) {}

    static final Map<String, Connection> CONNECTIONS = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(line.split("\t", -1)));
        }
        System.exit(0); // the client's threads would keep the program alive
    }

    static String answer(String[] words) throws Exception {
        String name = words[1];
        Connection connection = CONNECTIONS.get(name);
        switch (words[0]) {
            case "dial":
                return dial(name, words[2], words[3], words[4]);
            case "again":
                while (true) {
                    String answer = dial(name, words[2], words[3], words[4]);
                    if (answer.startsWith("{\"open\"")) return answer;
                    Thread.sleep(100);
                }
            case "say":
                connection.socket.sendText(words[2], true).join();
                return "{\"said\":true}";
            case "send":
                connection.socket.sendBinary(ByteBuffer.wrap(Base64.getDecoder().decode(words[2])), true).join();
                return "{\"said\":true}";
            case "hear":
                String heard = connection.ear.heard.poll(Long.parseLong(words[2]), TimeUnit.MILLISECONDS);
                return heard == null ? "{\"nothing\":true}" : heard;
            case "pings":
                return "{\"pings\":" + connection.ear.pings.get() + "}";
            case "close":
                connection.socket.sendClose(WebSocket.NORMAL_CLOSURE, "").join();
                return "{\"said\":true}";
            default:
                return object("unknown", words[0]);
        }
    }

    static String dial(String name, String url, String protocol, String token) {
        Ear ear = new Ear();
        WebSocket.Builder builder = CLIENT.newWebSocketBuilder();
        if (!protocol.isEmpty()) builder.subprotocols(protocol);
        if (!token.isEmpty()) builder.header("Authorization", "Bearer " + token);
        try {
            WebSocket socket = builder.buildAsync(URI.create(url), ear).join();
            CONNECTIONS.put(name, new Connection(socket, ear));
            return object("open", socket.getSubprotocol());
        } catch (CompletionException error) {
            if (error.getCause() instanceof WebSocketHandshakeException refused) {
                return "{\"refused\":" + refused.getResponse().statusCode() + "}";
            }
            return object("failed", String.valueOf(error.getCause()));
        }
    }

    static String object(String key, String value) {
        return "{" + quoted(key) + ":" + quoted(value) + "}";
    }

    static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') quoted.append('\\').append(c);
            else if (c < ' ') quoted.append(String.format("\\u%04x", (int) c));
            else quoted.append(c);
        }
        return quoted.append('"').toString();
    }
}
