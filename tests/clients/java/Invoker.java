// Apache HttpClient 4.5 as OpenWhisk's invoker sets it up: a connection for every request, no
// retries. And the same client keeping its connections.

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import org.apache.http.HttpEntity;
import org.apache.http.client.config.RequestConfig;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpPost;
import org.apache.http.entity.ByteArrayEntity;
import org.apache.http.entity.InputStreamEntity;
import org.apache.http.impl.NoConnectionReuseStrategy;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClientBuilder;
import org.apache.http.impl.conn.PoolingHttpClientConnectionManager;
import org.apache.http.util.EntityUtils;

public class Invoker {
    static String base;

    public static void main(String[] arguments) throws Exception {
        base = arguments[0];
        CloseableHttpClient fresh = builder().setConnectionReuseStrategy(NoConnectionReuseStrategy.INSTANCE).build();
        PoolingHttpClientConnectionManager pool = new PoolingHttpClientConnectionManager();
        CloseableHttpClient kept = builder().setConnectionManager(pool).build();

        times("small, fresh, as the invoker", 200, () -> run(fresh, 1, whole(argument(1)), 0, false));
        times("small, kept", 200, () -> run(kept, 1, whole(argument(1)), 0, false));
        times("one connection", 1, () -> {
            int open = pool.getTotalStats().getAvailable();
            if (open != 1) throw new Exception(open + " connections");
        });
        times("30 headers, fresh", 100, () -> run(fresh, 1, whole(argument(1)), 30, false));
        times("30 headers, kept", 100, () -> run(kept, 1, whole(argument(1)), 30, false));
        sized("20 KiB", 20 << 10, 20, fresh, kept);
        sized("1.5 MB", 1500000, 5, fresh, kept);
        times("a status for every refusal", 100, () -> {
            refused(fresh, "/nothing", "{}", 404);
            refused(fresh, "/init", "{\"value\":{\"code\":\"x\"}}", 403);
            refused(fresh, "/run", "{\"value\":1}", 404);
            refused(fresh, "/run", "{", 400);
        });
        times("refused, then served", 20, () -> {
            refused(kept, "/nothing", argument(20 << 10), 404);
            run(kept, 1, whole(argument(1)), 0, false);
        });
    }

    static void sized(String name, int size, int count, CloseableHttpClient fresh, CloseableHttpClient kept) {
        String body = argument(size);
        times(name + ", length, fresh", count, () -> run(fresh, size, whole(body), 0, false));
        times(name + ", length, kept", count, () -> run(kept, size, whole(body), 0, false));
        times(name + ", chunked, 30 headers, fresh", count, () -> run(fresh, size, chunked(body), 30, false));
        times(name + ", chunked, kept", count, () -> run(kept, size, chunked(body), 0, false));
        times(name + ", expect", count, () -> run(kept, size, whole(body), 0, true));
    }

    static HttpClientBuilder builder() {
        RequestConfig limits = RequestConfig.custom()
            .setConnectTimeout(60000).setConnectionRequestTimeout(60000).setSocketTimeout(60000).build();
        return HttpClientBuilder.create().setDefaultRequestConfig(limits).disableAutomaticRetries();
    }

    static String argument(int size) {
        return "{\"value\":{\"a\":\"" + "x".repeat(size) + "\"}}";
    }

    static HttpEntity whole(String body) {
        return new ByteArrayEntity(body.getBytes(StandardCharsets.UTF_8));
    }

    static HttpEntity chunked(String body) {
        return new InputStreamEntity(new ByteArrayInputStream(body.getBytes(StandardCharsets.UTF_8)), -1);
    }

    static HttpPost post(String path, HttpEntity body) {
        HttpPost post = new HttpPost(base + path);
        post.setHeader("Content-Type", "application/json");
        post.setHeader("Accept", "application/json");
        post.setEntity(body);
        return post;
    }

    static void run(CloseableHttpClient client, int size, HttpEntity body, int headers, boolean expect) throws Exception {
        HttpPost post = post("/run", body);
        for (int n = 0; n < headers; n++) post.setHeader("X-Added-" + n, "y".repeat(40));
        if (expect) post.setConfig(RequestConfig.custom().setExpectContinueEnabled(true).setSocketTimeout(60000).build());
        try (CloseableHttpResponse answer = client.execute(post)) {
            int status = answer.getStatusLine().getStatusCode();
            long announced = answer.getEntity().getContentLength();
            String text = EntityUtils.toString(answer.getEntity(), StandardCharsets.UTF_8);
            if (status != 200) throw new Exception("status " + status + ": " + text);
            if (announced != text.length()) throw new Exception("announced " + announced + " bytes");
            if (!text.trim().equals("{\"a\":\"" + "x".repeat(size) + "\"}")) throw new Exception("another result, " + text.length() + " bytes");
        }
    }

    static void refused(CloseableHttpClient client, String path, String body, int expected) throws Exception {
        try (CloseableHttpResponse answer = client.execute(post(path, whole(body)))) {
            int status = answer.getStatusLine().getStatusCode();
            String text = EntityUtils.toString(answer.getEntity(), StandardCharsets.UTF_8);
            if (status != expected || !text.contains("\"error\"")) throw new Exception(path + ": status " + status + ": " + text);
        }
    }

    interface Work {
        void run() throws Exception;
    }

    static void times(String name, int count, Work work) {
        try {
            for (int n = 0; n < count; n++) work.run();
            System.out.println(name + "\tok\t" + count);
        } catch (Exception e) {
            System.out.println(name + "\tFAILED\t" + e.toString().replace('\n', ' ').replace('\t', ' '));
        }
    }
}
