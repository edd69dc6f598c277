"""Fashion-MNIST, 8,000 + 2,000 images. Copyright 2017 Zalando SE, MIT; see NOTICE."""
