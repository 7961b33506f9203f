#ifndef TEST_MESSAGE_DKIM_KEY_H
#define TEST_MESSAGE_DKIM_KEY_H

/* The first key of RFC 8032 section 7.1, and what the DNS has of it. */
static const char test_ed25519_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char test_ed25519_public_key[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/* Keys made for these tests and used nowhere else. */
static const char test_key[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                               "MIIEogIBAAKCAQEAnABLJHZvXP/u4bfCv5VhfD5nqZj7Vs0kuWwJhwPHYvmKhaCq\n"
                               "CqdsKcPumRkJBhasEAu7ICV/4lcH3HsPU4zZXzOtG+O7rBbJ6B5RR01RYOvkwO9x\n"
                               "z9H1LxNiXTuwivViEhnlJ1Z4CCHzEMW7zo97H8uehmx/CodjxImgRRJnh7XB9jVJ\n"
                               "jY+nsLeWxe/qiGA+jJzqg3Z2D8Rvyr08XvbWo+htrO+IZbAlQCwmiG6by93FFrvn\n"
                               "4hdo2WJCmYEHQ8S/dPqWgyLmoaFoGgwvnXa/ebZm1JGYExYXFZ1TFLdWwlCe/Ob0\n"
                               "CJ4fyFNNR/XrPN2JEOPPz0z20UQKGrfNb6OTvQIDAQABAoIBAAYKlN5in8lwN+YR\n"
                               "4b7doBrZp9YPkJw58ZQktPG/mbchhtXJ9QvYk/3CErlnGMxdkGhGrAaArUUsradC\n"
                               "NMO9jqV7MNcFqLzvXP5aPjeOrPod6Iv4OeYccWxTSdnmd93JxvSAgDlXxeo6tlkN\n"
                               "70n+kHwYvJjkFr9nott3oPdL0SqWNeLHYJB+sXX7zHtrFRt5iLbo80bN60+Umum5\n"
                               "lwrN+8uyVXXMg95c+k1OozvCKmZvnUxHavMOz2Pkw6Y8RZf9MakFFVWzsTze39Bw\n"
                               "BHyYYFaEKHco/PKB0CNxY098LHiyVkLoGgO7OHFkzZs2zlHQWAl1nFmswM5MHvBN\n"
                               "THeBNkECgYEAzWdmPm9uia/MTIuwJ1UKeFPKD0+GnmWCmuGNo6wJ4OPjuG8g02sv\n"
                               "GgxQy7n/l2/hgKv52RJJEUYQaIfosd45QRhQo3nG1ZtaA+vkK7V4yfoUCotiGcz+\n"
                               "lRu+g1QHBTGuiWkBnkDuJCp+k8j40zpXxESgi7pWOGbSEONoHP6eOYkCgYEAwm2Y\n"
                               "1+PnOV8AbM2O/aWnQW+6oSDacnH7YHougquPS4Tlud4wLYbTSLPc6f9QVmd7loiK\n"
                               "3FSSLiYqj1OR5TTY/qSblysltJLgPIIYL9KFbguWW/OA+5nvs3nROCmka7Pa4GV1\n"
                               "4ptiGJqt5A9ja3cOwsznS2qW3zFC2EpzuNVQn5UCgYAC/KLu+33XALhu0IUyPTlW\n"
                               "wJkqmdRyTzWT/P2rSKAoJgg0sWD/0gowTceK/txpnlXgIiAS+QIY/zTT4E4Q8BNT\n"
                               "EAB0MBwlFQo9DlwWCqCEB1/tO1Ok3mdBUdL2Y+1qNOu90coVPAp6eie3DHAZ2jpW\n"
                               "f0z6Wy5Pyab6WeQ0r7srSQKBgEmkZ2sGWJNDZ47OgSWTs/k2D5NuNS95+sO9I5a8\n"
                               "0obBLJ4tCUSFN8vmzHsZCF3hzk7jIu13XvL5487r0Wvmi3ZP9NraLerqYuKoR+79\n"
                               "JyraWrYzUhx6Xu806ckDBNMCiZnK9E7DmfFFzS1/oqGWs9GW+Nh44/Jf3zi7Yn+U\n"
                               "1HfNAoGAeQuf9qZdXAJXOFTuSP3GBtqMm6xeCWakkOhHIVjduRDeWxJbF9faqWGl\n"
                               "SyuVysIyAGvdg2PwOwzBMGYlTwT7hk/okAuSg/oC5I+k5WIOw97XWR4ym9aQt1hB\n"
                               "fPcylnRz9NZFrwBfrwj3YA2zJziNEP8XC0XE3OszaPEmMhpO4SY=\n"
                               "-----END RSA PRIVATE KEY-----\n";

/* Its public half, as p= of its DNS record. */
static const char test_public_key[] =
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAnABLJHZvXP/u4bfCv5VhfD5nqZj7Vs0kuWwJ"
    "hwPHYvmKhaCqCqdsKcPumRkJBhasEAu7ICV/4lcH3HsPU4zZXzOtG+O7rBbJ6B5RR01RYOvkwO9xz9H1"
    "LxNiXTuwivViEhnlJ1Z4CCHzEMW7zo97H8uehmx/CodjxImgRRJnh7XB9jVJjY+nsLeWxe/qiGA+jJzq"
    "g3Z2D8Rvyr08XvbWo+htrO+IZbAlQCwmiG6by93FFrvn4hdo2WJCmYEHQ8S/dPqWgyLmoaFoGgwvnXa/"
    "ebZm1JGYExYXFZ1TFLdWwlCe/Ob0CJ4fyFNNR/XrPN2JEOPPz0z20UQKGrfNb6OTvQIDAQAB";

/* 768 bits: too short since RFC 8301. */
static const char short_key[] = "-----BEGIN RSA PRIVATE KEY-----\n"
                                "MIIBywIBAAJhAOLMe9AnYPP1LgSms23cE/NtF4TP0CuprxEFKyoZhqVC/S+9JwPa\n"
                                "MerWFA6oRLvWTL/7EetwnWjYJeRyTdqCdzhRvPwmti9LUnmLxEGKRnd+inG4gZf1\n"
                                "B/1rNwJtDQfQcQIDAQABAmEAt1f/L4LmCdHG5dOtcb5cEom6XY9yBhoigGvhPSNt\n"
                                "iePhsdoD1EVr3SA7Dq5RAlh2JXg5+pFsLt0uJs49Uq0LlzmlVwQWVw0k4nQjxGU+\n"
                                "RlaRL5B4sQXcJ4B3c7/Lu6UBAjEA9wayfezliBE0y6rBGB4wZ3S9nPBcf1K3GIF2\n"
                                "rWfiSIAhpjR6XfO5aotcIJWFZiZZAjEA6wmsyNK30ZQkjFIXuTzz0eaoqcDx+iyK\n"
                                "rnuX5HTypxMrg8gF57GmfY1275GGr+fZAjEApfXr6UpFE1tr+wEnZYqyvm7iDRQ3\n"
                                "MJtjw6UHFI1cq5TaBo3vQDvEcF5ccM/DpdNRAjBC/Tvw9RYNNtL/53n5guTfY4WY\n"
                                "9HRDYKSaPIG7TJXIhs81PTJpqhmQ2VwXxfuEcWkCMG7SjqwxtSz2zxSOSnLcjjVL\n"
                                "E4kHE3isOdlsn9gYLIIeQSij85Zc88z2gKgNdY8nhg==\n"
                                "-----END RSA PRIVATE KEY-----\n";

#endif
