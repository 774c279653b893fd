import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiResponse;

/**
 * Calls every operation with the client that openapi-generator has generated.
 * Arguments: DOCUMENT URL KEY.
 */
public class CallJava {
    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(arguments[1]);
        client.setRequestInterceptor(
            request -> request.header("Authorization", "Bearer " + arguments[2]));
        ObjectMapper mapper = client.getObjectMapper();
        for (JsonNode methods : mapper.readTree(new File(arguments[0])).get("paths")) {
            for (JsonNode operation : methods) {
                System.out.println(operation.get("operationId").asText());
                call(client, mapper, operation);
            }
        }
        System.exit(0); // the threads of the HTTP client would go on for a while
    }

    private static void call(ApiClient client, ObjectMapper mapper, JsonNode operation)
            throws Exception {
        Map<String, JsonNode> examples = new HashMap<>();
        for (JsonNode parameter : operation.get("parameters")) {
            if (parameter.has("example")) {
                examples.put(parameter.get("name").asText(), parameter.get("example"));
            }
        }
        JsonNode body = operation.at("/requestBody/content/application~1json/example");
        String tag = operation.get("tags").get(0).asText();
        Class<?> api = Class.forName("org.openapitools.client.api." + upper(camel(tag)) + "Api");
        String name = camel(operation.get("operationId").asText()) + "WithHttpInfo";
        Method method = Arrays.stream(api.getMethods())
            .filter(m -> m.getName().equals(name))
            .min((a, b) -> a.getParameterCount() - b.getParameterCount()) // without more headers
            .orElseThrow(() -> new AssertionError("not generated: " + name));
        Object[] values = new Object[method.getParameterCount()];
        for (int i = 0; i < values.length; i++) {
            Parameter parameter = method.getParameters()[i];
            JsonNode example = examples.get(parameter.getName());
            // The body is the last parameter.
            if (i == values.length - 1 && !body.isMissingNode()) {
                example = body;
            }
            if (example != null) {
                var type = mapper.constructType(parameter.getParameterizedType());
                values[i] = mapper.convertValue(example, type);
            }
        }
        ApiResponse<?> response =
            (ApiResponse<?>) method.invoke(api.getConstructor(ApiClient.class).newInstance(client), values);
        Object data = response.getData();
        if (response.getStatusCode() >= 300 || data == null || data.toString().isEmpty()) {
            throw new AssertionError(name + ": " + response.getStatusCode() + " " + data);
        }
    }

    private static String camel(String name) {
        String[] words = name.split("_");
        for (int i = 1; i < words.length; i++) {
            words[i] = upper(words[i]);
        }
        return String.join("", words);
    }

    private static String upper(String name) {
        return name.substring(0, 1).toUpperCase() + name.substring(1);
    }
}
