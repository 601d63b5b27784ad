"use strict";

// The page says where its document is; no validator and no address of anybody else is asked.
window.addEventListener("load", () => {
    const place = document.getElementById("page");
    window.ui = SwaggerUIBundle({
        url: place.dataset.document,
        domNode: place,
        deepLinking: true,
        displayRequestDuration: true,
        tryItOutEnabled: true,
        validatorUrl: null,
        layout: "BaseLayout",
    });
});
