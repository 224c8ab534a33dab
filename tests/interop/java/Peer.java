// One end of TLS connections, with JSSE. The arguments are "key=value", the keys those of ../script.py; a server
// prints "port N", and at the end either role prints "seen {...}". The flows are those of ../base.py; "resume"
// makes or takes `count` connections one after another, with a line on each.

import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Peer {
    private static final Map<String, String> setup = new HashMap<>();

    public static void main(String[] args) throws Exception {
        for (String arg : args) {
            int at = arg.indexOf('=');
            setup.put(arg.substring(0, at), arg.substring(at + 1));
        }
        boolean server = get("role").equals("server");
        SSLContext context = context();
        boolean many = get("flow").equals("resume");
        int count = many ? Integer.parseInt(get("count")) : 1;
        ServerSocket listener = null;
        if (server) {
            listener = new ServerSocket(0, 5, InetAddress.getByName(get("host")));
            System.out.println("port " + listener.getLocalPort());
        }
        for (int i = 0; i < count; i++) {
            Socket plain;
            if (server) {
                plain = listener.accept();
            } else {
                plain = new Socket();
                plain.connect(new InetSocketAddress(get("host"), Integer.parseInt(get("port"))));
            }
            plain.setSoTimeout(20000);
            SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(
                    plain, get("name"), plain.getPort(), true);
            prepare(socket, server);
            socket.startHandshake();
            if (many) {
                line(socket, server);
            } else {
                converse(socket);
            }
        }
    }

    private static String get(String key) {
        return setup.getOrDefault(key, "");
    }

    private static SSLContext context() throws Exception {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (!get("cert").isEmpty()) {
            Certificate[] chain = certificates(get("cert"));
            String pem = Files.readString(Path.of(get("key"))).replaceAll("-----[A-Z ]+-----|\\s", "");
            PKCS8EncodedKeySpec spec = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
            String kind = chain[0].getPublicKey().getAlgorithm();
            PrivateKey key = KeyFactory.getInstance(kind).generatePrivate(spec);
            own.setKeyEntry("own", key, new char[0], chain);
        }
        keys.init(own, new char[0]);
        KeyStore roots = KeyStore.getInstance("PKCS12");
        roots.load(null, null);
        int number = 0;
        for (Certificate root : certificates(get("ca"))) {
            roots.setCertificateEntry("root" + number++, root);
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(roots);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static Certificate[] certificates(String file) throws Exception {
        try (InputStream stream = new FileInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(stream).toArray(new Certificate[0]);
        }
    }

    private static void prepare(SSLSocket socket, boolean server) {
        socket.setUseClientMode(!server);
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setProtocols(new String[] {get("version").equals("771") ? "TLSv1.2" : "TLSv1.3"});
        if (!get("suite").isEmpty()) {
            parameters.setCipherSuites(new String[] {get("suite")});
        }
        if (!get("alpn").isEmpty()) {
            parameters.setApplicationProtocols(get("alpn").split(","));
        }
        if (server) {
            parameters.setNeedClientAuth(get("client").equals("true"));
        } else {
            parameters.setServerNames(List.of(new SNIHostName(get("name"))));
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            if (!get("packet").isEmpty()) {
                parameters.setMaximumPacketSize(Integer.parseInt(get("packet")));
            }
        }
        socket.setSSLParameters(parameters);
    }

    private static void line(SSLSocket socket, boolean server) throws IOException {
        InputStream in = socket.getInputStream();
        OutputStream out = socket.getOutputStream();
        if (!server) {
            out.write("a line\n".getBytes());
        }
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int octet = in.read(); octet != '\n'; octet = in.read()) {
            if (octet < 0) {
                throw new IOException("no line");
            }
            line.write(octet);
        }
        if (server) {
            out.write(line.toByteArray());
            out.write('\n');
        }
        // What comes behind the line, tickets too, is read up to the end.
        while (in.read() >= 0) {
        }
        socket.close();
    }

    private static void converse(SSLSocket socket) throws Exception {
        String flow = get("flow");
        byte[] data = Files.readAllBytes(Path.of(get("data")));
        InputStream in = socket.getInputStream();
        OutputStream out = socket.getOutputStream();
        MessageDigest hash = MessageDigest.getInstance("SHA-256");
        ByteArrayOutputStream kept = new ByteArrayOutputStream();
        if (flow.equals("first")) {
            out.write(data);
            socket.shutdownOutput();
        }
        byte[] buffer = new byte[65536];
        int received = 0;
        int count;
        while ((count = in.read(buffer)) >= 0) { // close_notify: a bare end is an exception
            received += count;
            hash.update(buffer, 0, count);
            if (flow.equals("collect")) {
                kept.write(buffer, 0, count);
            }
            if (flow.equals("echo") || flow.equals("close")) {
                out.write(buffer, 0, count);
            }
            if (flow.equals("close") && received == data.length) {
                socket.shutdownOutput();
            }
        }
        if (flow.equals("collect")) {
            out.write(kept.toByteArray());
        }
        boolean client = false;
        try {
            client = socket.getSession().getPeerCertificates().length > 0;
        } catch (javax.net.ssl.SSLPeerUnverifiedException none) {
        }
        String protocol = socket.getApplicationProtocol();
        System.out.printf(
                "seen {\"close_notify\": true, \"sha256\": \"%s\", \"alpn\": %s, \"cipher\": \"%s\", \"client\": %s}%n",
                HexFormat.of().formatHex(hash.digest()),
                protocol == null || protocol.isEmpty() ? "null" : '"' + protocol + '"',
                socket.getSession().getCipherSuite(),
                client);
        socket.close();
    }
}
